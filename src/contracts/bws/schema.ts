import { z } from 'zod'
import { parseBcid } from '../../core/bws/bcid.ts'
import { CHALLENGES_RANGE } from '../../core/bws/challenges.ts'
import { BWS_TASKS, MAXTRIES_RANGE } from '../../core/bws/task.ts'
import { BWS_TRAITS } from '../../core/bws/traits.ts'
import { createParameterReader } from '../../http/form-parameters.ts'

// Each parameter's message completes the sentence "<name> must be …".

function wholeNumber({ minimum, maximum }: { minimum: number; maximum: number }) {
  const error = `an integer from ${minimum} to ${maximum}`
  return z.preprocess(
    (value) => (typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value),
    z.int({ error }).min(minimum, { error }).max(maximum, { error }),
  )
}

const boolean = z.preprocess(
  (value) => {
    const text = typeof value === 'string' ? value.toLowerCase() : value
    return text === 'true' ? true : text === 'false' ? false : value
  },
  z.boolean({ error: 'true or false' }),
)

const TRAITS_BY_NAME: Readonly<Record<string, string>> = Object.assign(
  Object.create(null),
  Object.fromEntries(BWS_TRAITS.map((trait) => [trait.toLowerCase(), trait])),
)

/** A pattern for blanks at the end would take quadratic time for blanks inside. */
function trimBlanks(text: string): string {
  let [start, end] = [0, text.length]
  while (text[start] === ' ') start += 1
  while (end > start && text[end - 1] === ' ') end -= 1
  return text.slice(start, end)
}

const traits = z.preprocess(
  (value) => {
    if (typeof value !== 'string') return value
    const items = value.split(',').map((item) => TRAITS_BY_NAME[trimBlanks(item).toLowerCase()])
    // One fault of a list is enough for the reply: describing each of thousands takes a tenth of a second.
    return items.includes(undefined) ? [undefined] : items
  },
  z.array(z.enum(BWS_TRAITS, { error: `a list of ${BWS_TRAITS.join(', ')}, with commas between` })),
)

const parameters = z.object({
  id: z
    .string({ error: 'your App-ID' })
    .min(1, { error: 'your App-ID' })
    .meta({ description: 'The App-ID of the caller.', example: 'demo-app' }),
  bcid: z.string().transform(parseBcid).optional().meta({
    description:
      'Biometric Class ID: `storage.partition.classid`, separated by `.` or `/`. Partition and class id are signed 32-bit integers. Optional for `livenessdetection`, which accepts and ignores any other text.',
    example: 'bws.112.12345',
  }),
  task: z
    .enum(BWS_TASKS, { error: `one of ${BWS_TASKS.join(', ')}` })
    .default('verify')
    .meta({ description: 'The task that the token permits.' }),
  maxtries: wholeNumber(MAXTRIES_RANGE).prefault(3).meta({ description: 'How often the token may be used.' }),
  livedetection: boolean.prefault(true).meta({
    description: 'Whether liveness is checked. Always on for `livenessdetection`.',
  }),
  challenge: boolean.prefault(false).meta({
    description: 'Whether the subject is asked to move the head. Only with liveness detection.',
  }),
  challenges: wholeNumber(CHALLENGES_RANGE).prefault(3).meta({ description: 'Number of movements in a challenge.' }),
  autoenroll: boolean.prefault(false).meta({
    description: 'Whether a successful verification also enrolls. Only with `verify`.',
  }),
  traits: traits.prefault(['Face', 'Periocular']).meta({
    description: 'The biometric traits to use, in any case.',
    param: { style: 'form', explode: false },
  }),
})

/** Reads the query as text, its parameters not yet checked. */
export const readBwsTokenQuery = createParameterReader(Object.keys(parameters.shape))

const hasSubject = ({ task, bcid }: Pick<z.output<typeof parameters>, 'task' | 'bcid'>): boolean =>
  bcid !== undefined || task === 'livenessdetection'

/** The query of `GET /token`, its names in lower case. */
export const bwsTokenQuery = parameters.refine(hasSubject, {
  path: ['bcid'],
  error: 'storage.partition.classid, the last two signed 32-bit integers, with "." or "/" between',
  // Also when other parameters are invalid, so that one reply names them all.
  when: () => true,
})

const compiledParameters = z.compile(parameters)

/** Parses as {@link bwsTokenQuery} does, and faster where nothing is wrong: a refined schema cannot be compiled. */
export const bwsTokenQueryParser = {
  safeParse(values: unknown): z.ZodSafeParseResult<z.output<typeof bwsTokenQuery>> {
    const query = compiledParameters.safeParse(values)
    return query.success && hasSubject(query.data) ? query : bwsTokenQuery.safeParse(values)
  },
}

/** The operations that a gateway can check a token for (B33). */
export const operationParams = z.object({ operation: z.enum(['upload', ...BWS_TASKS]).meta({ example: 'verify' }) })

/** Every error of this contract (B20). */
export const bwsError = z.object({ Message: z.string() })
