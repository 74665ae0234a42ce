import { z } from 'zod'
import { expected } from '../../../config/value-schemas.ts'
import { formatBcid, parseBcid } from '../../../core/bws/bcid.ts'
import type { BWS_TASKS } from '../../../core/bws/task.ts'

/** The stand-in answers as it would without an outcome. */
export const SUCCESS = 'success'

/** Why an operation of BWS fails, as its reply says. `NotRecognized` is a failure without a code. */
const BWS_FAILURES = [
  'LiveDetectionFailed',
  'ChallengeResponseFailed',
  'NoTemplateAvailable',
  'NotEnoughSamples',
  'ExecutionOfJobTimedOut',
  'NotRecognized',
] as const

export type BwsFailure = (typeof BWS_FAILURES)[number]

const MAX_LISTED = 1_000
const MAX_TEXT = 200

const word = z
  .string(expected('text'))
  .min(1, expected('text that is not empty'))
  .max(MAX_TEXT, expected(`at most ${MAX_TEXT} characters`))

/** One outcome for every request, or a list that is worked off. */
function outcomes<Value extends z.ZodType>(value: Value, allowed: string) {
  return z
    .union([value, z.array(value).max(MAX_LISTED)], expected(`${allowed}, or a list of at most ${MAX_LISTED} of them`))
    .optional()
}

const bwsOutcome = z.enum([SUCCESS, ...BWS_FAILURES])
const bwsOperation = outcomes(bwsOutcome, `one of ${bwsOutcome.options.join(', ')}`)
const operations = {
  verify: bwsOperation,
  enroll: bwsOperation,
  identify: bwsOperation,
  livenessdetection: bwsOperation,
}

const bcid = z.string(expected('storage.partition.classid')).transform((text, context) => {
  const parsed = parseBcid(text)
  if (parsed) return formatBcid(parsed)
  context.addIssue({ code: 'custom', message: 'invalid value; expected storage.partition.classid' })
  return z.NEVER
})

const JOURNEY = `${SUCCESS}, a HighLevelResult such as Refer, or members of the journey`

/** The body of `PUT /_trimint/outcomes` (S15). */
export const outcomesInput = z.strictObject({
  match: z.strictObject({ bcid: bcid.optional(), app: word.optional(), account: word.optional() }).default({}),
  bws: z
    .strictObject({
      upload: outcomes(word, `${SUCCESS}, or the Error of a sample that is not accepted`),
      ...operations,
    } satisfies Readonly<Record<'upload' | (typeof BWS_TASKS)[number], z.ZodType>>)
    .optional(),
  idscan: z
    .strictObject({
      journey: outcomes(z.union([word, z.record(z.string(), z.json())], expected(JOURNEY)), JOURNEY),
    })
    .optional(),
})

export type OutcomesInput = z.input<typeof outcomesInput>
export type ParsedOutcomes = z.output<typeof outcomesInput>
export type OutcomeMatch = ParsedOutcomes['match']

/** What `GET /_trimint/outcomes` shows: what is left, for every request and for those of a match. */
export interface OutcomesView {
  readonly bws: NonNullable<ParsedOutcomes['bws']>
  readonly idscan: NonNullable<ParsedOutcomes['idscan']>
  readonly matched: readonly ParsedOutcomes[]
}

/** An outcome of one request. */
export interface OutcomeTypes {
  readonly upload: string
  readonly verify: typeof SUCCESS | BwsFailure
  readonly enroll: typeof SUCCESS | BwsFailure
  readonly identify: typeof SUCCESS | BwsFailure
  readonly livenessdetection: typeof SUCCESS | BwsFailure
  readonly journey: string | Readonly<Record<string, unknown>>
}
