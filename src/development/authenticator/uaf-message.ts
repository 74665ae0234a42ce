import { z } from 'zod'
import { AuthenticatorError } from './authenticator-error.ts'

// What a client reads of the messages of a server: FIDO UAF protocol 1.1, sections 3.4 to 3.6.

const header = z.object({
  upv: z.object({ major: z.int(), minor: z.int() }),
  op: z.enum(['Reg', 'Auth', 'Dereg']),
  appID: z.string(),
  serverData: z.string(),
})

const accepted = z.array(
  z.array(z.object({ aaid: z.array(z.string()).optional(), keyIDs: z.array(z.string()).optional() })),
)

const uafRequest = z.object({
  header,
  challenge: z.string().optional(),
  username: z.string().optional(),
  policy: z.object({ accepted }).optional(),
  transaction: z.array(z.object({ contentType: z.string(), content: z.string() })).optional(),
  authenticators: z.array(z.object({ aaid: z.string(), keyID: z.string() })).optional(),
})

export type UafRequest = z.output<typeof uafRequest>

/** Reads JSON text of an array with one request. @throws AuthenticatorError for other text. */
export function readRequest(text: string): UafRequest {
  const [request] = readJson(z.tuple([uafRequest]), text, 'UAF request')
  return request
}

/** Reads JSON text. @throws AuthenticatorError that calls the text by its name, if it does not fit the schema. */
export function readJson<Schema extends z.ZodType>(schema: Schema, text: string, name: string): z.output<Schema> {
  const { data } = schema.safeParse(parseJson(text))
  if (data === undefined) throw new AuthenticatorError(`malformed ${name}; expected that of a FIDO UAF 1.1 server`)
  return data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The reply of redemption and of the request services. */
export const uafRequestReply = z.object({
  statusCode: z.int(),
  uafRequest: z.string().optional(),
  lifetimeMillis: z.int().optional(),
})

export type UafRequestReply = z.output<typeof uafRequestReply>

/** The reply of the response services. */
export const uafResponseReply = z.object({ statusCode: z.int() })

/** A response as a client sends it, before it becomes text. */
export interface UafResponse {
  readonly header: UafRequest['header']
  /** Base64url of the final challenge parameters. */
  readonly fcParams: string
  readonly assertions: readonly { readonly assertionScheme: string; readonly assertion: string }[]
}

/** FIDO UAF application API and transport 1.1, section 8.3: SendUAFResponse. */
export interface SendUafResponse {
  /** JSON text of an array with one {@link UafResponse}. */
  readonly uafResponse: string
  /** JSON text of an object: Trimint reads `asmStatusCode` (U16). */
  readonly context?: string
}
