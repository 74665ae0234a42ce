/** The tasks that a token can be issued for, as bits of the `task` claim (B29). */
const TASK_BITS = { verify: 0, identify: 0x10, enroll: 0x20, livenessdetection: 0x80 } as const
const MAXTRIES_MASK = 0x0f
const LIVE_DETECTION = 0x100
const CHALLENGE_RESPONSE = 0x200
const AUTO_ENROLL = 0x1000

export type BwsTask = keyof typeof TASK_BITS
export const BWS_TASKS = Object.keys(TASK_BITS) as [BwsTask, ...BwsTask[]]

/** How often a token can be used: a nibble of the `task` claim, never 0 (B11). */
export const MAXTRIES_RANGE = { minimum: 1, maximum: 15 } as const

export interface TaskOptions {
  readonly task: BwsTask
  readonly maxtries: number
  readonly livedetection: boolean
  readonly challenge: boolean
  readonly autoenroll: boolean
}

/**
 * Returns the options that a request results in. Liveness detection is always on for its own task (B12), a challenge
 * requires liveness detection (B13), and only a verification can enrol automatically (B15).
 */
export function effectiveOptions(asked: TaskOptions): TaskOptions {
  const livedetection = asked.livedetection || asked.task === 'livenessdetection'
  return {
    task: asked.task,
    maxtries: asked.maxtries,
    livedetection,
    challenge: asked.challenge && livedetection,
    autoenroll: asked.autoenroll && asked.task === 'verify',
  }
}

/**
 * Encodes the `task` claim.
 *
 * @throws RangeError unless `maxtries` is an integer from 1 to 15.
 */
export function encodeTask(asked: TaskOptions): number {
  const { task, maxtries, livedetection, challenge, autoenroll } = effectiveOptions(asked)
  if (!Number.isInteger(maxtries) || maxtries < MAXTRIES_RANGE.minimum || maxtries > MAXTRIES_RANGE.maximum) {
    throw new RangeError(
      `maxtries out of range: expected an integer from ${MAXTRIES_RANGE.minimum} to ${MAXTRIES_RANGE.maximum}`,
    )
  }
  return (
    TASK_BITS[task] |
    maxtries |
    (livedetection ? LIVE_DETECTION : 0) |
    (challenge ? CHALLENGE_RESPONSE : 0) |
    (autoenroll ? AUTO_ENROLL : 0)
  )
}

/** Decodes a `task` claim. Returns undefined for a number that {@link encodeTask} never returns. */
export function decodeTask(bits: number): TaskOptions | undefined {
  for (const task of BWS_TASKS) {
    const options = {
      task,
      maxtries: bits & MAXTRIES_MASK,
      livedetection: (bits & LIVE_DETECTION) !== 0,
      challenge: (bits & CHALLENGE_RESPONSE) !== 0,
      autoenroll: (bits & AUTO_ENROLL) !== 0,
    }
    if (options.maxtries > 0 && encodeTask(options) === bits) return options
  }
  return undefined
}
