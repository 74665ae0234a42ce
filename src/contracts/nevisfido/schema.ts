import { z } from 'zod'
import { FIDO_OPERATIONS } from '../../core/fido/operation.ts'

/** The path of create and redeem. */
export const operationParams = z.object({ operation: z.enum(FIDO_OPERATIONS).meta({ example: 'registration' }) })

/** FIDO UAF 1.1 application API, GetUAFRequest (N9). Unknown members are ignored. */
export const createTokenBody = z.object({
  op: z.enum(['Reg', 'Auth', 'Dereg']),
  context: z.string().min(1).meta({
    description:
      'JSON text of an object: `username` (required for Reg and Dereg), `policy` (the name of a configured policy), `transaction` (for Auth: a list of `{contentType, content}` with base64 content).',
    example: '{"username":"jeff"}',
  }),
  previousRequest: z.string().optional().meta({ description: 'Accepted and ignored.' }),
})

export const redeemTokenBody = z.object({ token: z.string().min(1) })

export const statusBody = z.object({ sessionId: z.string().min(1) })

const statusCode = z.int().meta({ description: 'FIDO UAF status code.' })

export const createTokenReply = z.object({ token: z.uuidv4(), sessionId: z.uuidv4(), statusCode })

export type CreateTokenReply = z.output<typeof createTokenReply>

/** Every failure of create and redeem, in HTTP 200. */
export const failureReply = z.object({ statusCode })

/** FIDO UAF 1.1 application API, ReturnUAFRequest (N17). */
export const redeemTokenReply = z.object({
  statusCode,
  uafRequest: z.string().meta({ description: 'JSON text of an array with one UAF request.' }),
  op: z.enum(['Reg', 'Auth', 'Dereg']),
  lifetimeMillis: z.int().meta({ description: 'Milliseconds until the answer is no longer accepted.' }),
})

export type RedeemTokenReply = z.output<typeof redeemTokenReply>

/** The reply of the status service (N27). */
export const statusReply = z.object({
  status: z.enum(['tokenCreated', 'clientRegistering', 'clientAuthenticating', 'succeeded', 'failed', 'unknown']),
  timestamp: z.iso.datetime({ precision: 3 }).meta({ description: 'Time of the last change.' }),
  userId: z.string().optional().meta({ description: 'The user name, where the token has one.' }),
  uafStatusCode: z.int().optional(),
  asmStatusCode: z.int().optional().meta({ description: 'What the FIDO client told of its authenticator.' }),
  authenticators: z
    .array(z.object({ aaid: z.string(), keyId: z.string() }))
    .optional()
    .meta({ description: 'The keys that were registered or used.' }),
  tokenInformation: z.object({ tokenResult: z.enum(['tokenRedeemed', 'tokenTimedOut']) }).optional(),
})

export type StatusReply = z.output<typeof statusReply>
