import { z } from 'zod'

/** UAF extensions, whose ids and data do not matter: none is supported. */
const extensions = z.array(z.looseObject({ fail_if_unknown: z.unknown() })).nullish()

/** Each one costs verifications of signatures, also of a client without credentials. */
const MAX_ASSERTIONS = 16

/** A UAF response (U10; FIDO UAF 1.1 protocol, sections 3.1 and 3.4.4). Unknown members are ignored. */
const uafResponse = z.object({
  header: z.object({
    upv: z.object({ major: z.int(), minor: z.int() }),
    op: z.string(),
    appID: z.string().min(1).max(512),
    serverData: z.string().min(1).max(1536),
    exts: extensions,
  }),
  fcParams: z.string(),
  assertions: z
    .array(z.object({ assertionScheme: z.string(), assertion: z.string(), exts: extensions }))
    .max(MAX_ASSERTIONS),
})

const message = z.compile(z.array(uafResponse).length(1))

export type UafResponse = z.output<typeof uafResponse>

/** An assertion that is not parsed yet. */
export type EncodedAssertion = UafResponse['assertions'][number]

/** Parses the `uafResponse` of a SendUAFResponse: JSON text of an array of one response. Returns undefined for other text. */
export function readUafResponse(text: string): UafResponse | undefined {
  return readValid(message, parseJson(text))?.[0]
}

/** Returns whether a list names an extension that must be understood (U14, U17). */
export function requiresExtension(exts: UafResponse['header']['exts']): boolean {
  return exts?.some(({ fail_if_unknown }) => fail_if_unknown === true) ?? false
}

const clientContext = z.compile(z.object({ asmStatusCode: z.int() }))

/** Reads `asmStatusCode` of a SendUAFResponse's context (U16). Any other context is passed over. */
export function readAsmStatusCode(context: string | undefined): number | undefined {
  return context === undefined ? undefined : readValid(clientContext, parseJson(context))?.asmStatusCode
}

/**
 * Returns what a schema makes of a stranger's value, or undefined where it is invalid. Ends at the first fault: to
 * describe each fault of a body of 64 KiB would take up to a tenth of a second.
 */
export function readValid<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> | undefined {
  return schema.validate(value) ? schema.safeParse(value).data : undefined
}

/** Parses JSON. Returns undefined for other text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
