import { z } from 'zod'
import { expected, milliseconds, wholeNumber } from '../../config/value-schemas.ts'
import { REFUSAL_REASONS } from '../../http/refusal.ts'

const MAX_DELAY = '10m'
const MAX_TIMES = 1_000_000

export const CONTRACTS = ['bws', 'idscan', 'nevisfido', 'service'] as const

export type FaultContract = (typeof CONTRACTS)[number]

const text = z.string(expected('text')).min(1, expected('text that is not empty'))

function oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, expected(`one of ${words.join(', ')}`))
}

/** Which requests a fault meets (L9). Everything that is given has to fit. */
const match = z.strictObject({
  contract: oneOf(CONTRACTS).optional(),
  operation: text.optional().meta({ description: 'The operation or area in the path, such as `registration`.' }),
  method: text.optional(),
  path: text.optional().meta({ description: 'The path without the query; `*` at the end matches every continuation.' }),
  app: text.optional().meta({ description: 'BWS: the App-ID.' }),
  account: text.optional().meta({ description: 'IDscan: the login name.' }),
  client: text.optional().meta({ description: 'nevisFIDO and service: the id of the caller.' }),
  username: text.optional().meta({ description: 'IDscan: the login name. nevisFIDO: the user in the context.' }),
})

const delay = z.union(
  [milliseconds(MAX_DELAY), z.strictObject({ from: milliseconds(MAX_DELAY), to: milliseconds(MAX_DELAY) })],
  expected(`a duration up to ${MAX_DELAY}, or {"from": …, "to": …}`),
)

const EFFECTS = ['reason', 'status', 'connection', 'store'] as const

/** What a fault does (L10 to L13): a delay, one of the effects, or both. */
const then = z
  .strictObject({
    reason: oneOf(REFUSAL_REASONS)
      .optional()
      .meta({ description: 'A reason of the audit log: the contract answers in its own words.' }),
    delay: delay.optional(),
    status: wholeNumber(200, 599).optional(),
    headers: z
      .record(z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, expected('the name of a header')), z.string())
      .optional(),
    body: z.json().optional().meta({ description: 'Text, or JSON.' }),
    connection: oneOf(['reset', 'close', 'hang', 'cut', 'garbage']).optional(),
    store: z.literal('unavailable', expected('unavailable')).optional(),
  })
  .superRefine((value, context) => {
    const given = EFFECTS.filter((effect) => value[effect] !== undefined)
    if (given.length > 1) {
      context.addIssue({
        code: 'custom',
        message: `${given.join(' and ')} together; expected one of ${EFFECTS.join(', ')}`,
      })
    }
    if (given.length === 0 && value.delay === undefined) {
      context.addIssue({ code: 'custom', message: `no effect; expected delay, or one of ${EFFECTS.join(', ')}` })
    }
    if (value.status === undefined && (value.headers !== undefined || value.body !== undefined)) {
      context.addIssue({ code: 'custom', message: 'headers or body without status; expected status too' })
    }
    if (Object.values(value.headers ?? {}).some((header) => !/^[\t\x20-\x7e\x80-\xff]*$/.test(header))) {
      context.addIssue({ code: 'custom', path: ['headers'], message: 'invalid value; expected text on one line' })
    }
  })

/** The body of `POST /_trimint/faults` (L8). */
export const faultInput = z.strictObject({
  match: match.default({}),
  times: wholeNumber(1, MAX_TIMES)
    .optional()
    .meta({ description: 'How often the fault occurs; absent: until deleted.' }),
  then,
})

export type FaultInput = z.input<typeof faultInput>
export type ParsedFault = z.output<typeof faultInput>
export type FaultMatch = ParsedFault['match']
export type FaultEffect = ParsedFault['then']

/** A fault as `GET /_trimint/faults` lists it. */
export interface FaultView {
  readonly id: string
  readonly match: FaultInput['match']
  readonly times?: number | undefined
  /** How many requests it has met. */
  readonly met: number
  readonly then: FaultInput['then']
}
