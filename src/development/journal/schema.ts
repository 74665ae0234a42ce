import { z } from 'zod'
import { expected, milliseconds, timestamp, wholeNumber } from '../../config/value-schemas.ts'
import { REFUSAL_REASONS } from '../../http/refusal.ts'
import { CONTRACTS } from '../faults/schema.ts'

const OUTCOMES = ['issued', 'redeemed', 'checked', 'introspected', 'revoked', 'refused', 'answered'] as const

function oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, expected(`one of ${words.join(', ')}`))
}

/** The query of `GET /_trimint/requests` (L17, L18). */
export const requestFilter = z.strictObject({
  contract: oneOf(CONTRACTS).optional(),
  outcome: oneOf(OUTCOMES).optional(),
  reason: oneOf(REFUSAL_REASONS).optional(),
  path: z
    .string()
    .optional()
    .meta({ description: 'The path without the query; `*` at the end matches every continuation.' }),
  since: timestamp.optional().meta({ description: "By Trimint's clock." }),
  limit: wholeNumber(1, 100_000).default(100),
  count: wholeNumber(1, 100_000).optional().meta({ description: 'Waits until so many requests fit.' }),
  wait: milliseconds('10m').optional().meta({ description: 'How long to wait; `5s` by default.' }),
})

export type RequestFilter = z.input<typeof requestFilter>
export type ParsedFilter = z.output<typeof requestFilter>

const json = z.record(z.string(), z.unknown())

/** A request in the journal (L15, L16). */
export const journalRecord = z.object({
  id: z.string().meta({ description: 'The request id, as in the reply and in the audit log.' }),
  time: z.iso.datetime({ precision: 3 }).meta({ description: "By Trimint's clock." }),
  method: z.string(),
  path: z.string(),
  query: json.optional(),
  headers: json,
  body: z.unknown().optional(),
  address: z.string().optional(),
  status: z.int(),
  replyHeaders: json,
  duration: z.number().meta({ description: 'Milliseconds.' }),
  contract: oneOf(CONTRACTS).optional(),
  outcome: oneOf(OUTCOMES).meta({
    description: '`answered` where no token was decided about, or a FIDO client completed its session.',
  }),
  reason: oneOf(REFUSAL_REASONS).optional(),
  explanation: z.string().optional().meta({ description: 'What was wrong in this request, and what to change.' }),
  tokenId: z.string().optional(),
  app: z.string().optional(),
  account: z.string().optional(),
  client: z.string().optional(),
  resourceServer: z.string().optional(),
  operation: z.string().optional(),
  parameters: z.array(z.string()).readonly().optional(),
  token: z
    .object({ id: z.string().optional(), claims: json })
    .optional()
    .meta({ description: 'The signed token that the request carries, not verified.' }),
  injected: z.boolean(),
  fault: z.string().optional().meta({ description: 'The id of the fault that was injected.' }),
  brief: z
    .literal(true)
    .optional()
    .meta({ description: 'Too large for a list: `GET /_trimint/requests/{id}` has its query, headers and body.' }),
})

export type JournalRecord = z.output<typeof journalRecord>
