import type { BwsTask } from '../../../core/bws/task.ts'
import type { BwsFailure, OutcomeTypes } from '../outcomes/schema.ts'
import type { Image } from './image.ts'

/** An uploaded image, as it is remembered: without its bytes. */
export interface Sample extends Image {
  readonly bytes: number
  /** Directions in which the head was turned; empty for none, and for `any`. */
  readonly directions: readonly string[]
  /** Sorts the samples of an attempt. */
  readonly index: number | undefined
  readonly trait: string | undefined
  /** Milliseconds since the epoch. */
  readonly time: number
}

export interface Match {
  /** As in the `bcid` claim. */
  readonly bcid: string
  /** From 0 to 1. */
  readonly score: number
}

/** What a client asks for, with what its token says. Survives JSON: every process gets it. */
export interface AttemptRequest {
  readonly tokenId: string
  readonly app: string
  /** The `bcid` claim. */
  readonly bcid: string
  readonly task: BwsTask
  readonly isLive: boolean
  /** The movements of the try under way; null without a challenge. */
  readonly challenge: readonly string[] | null
  readonly autoenroll: boolean
  readonly maxResults: number
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** A performed operation. */
export interface Attempt {
  readonly task: BwsTask
  readonly bcid: string
  readonly success: boolean
  readonly error: string | null
  /** Of an identification. */
  readonly matches: readonly Match[]
  readonly time: number
}

const MIN_LIVE_SAMPLES = 2
const MAX_MATCHES = 100

/** Returns why samples fail before anything is compared (S3, S4). */
export function findSampleFailure(samples: readonly Sample[], request: AttemptRequest): BwsFailure | undefined {
  if (request.isLive && samples.length < MIN_LIVE_SAMPLES) return 'NotEnoughSamples'
  return request.challenge === null || followsChallenge(samples, request.challenge)
    ? undefined
    : 'ChallengeResponseFailed'
}

/** Samples without a direction show the face as it looks ahead, and are left out. */
function followsChallenge(samples: readonly Sample[], challenge: readonly string[]): boolean {
  const turned = samples.filter(({ directions }) => directions.length > 0).toSorted(byIndex)
  return (
    turned.length === challenge.length && turned.every(({ directions }, at) => directions.includes(challenge[at] ?? ''))
  )
}

/** Samples without an index come last, in the order of their upload. */
function byIndex(a: Sample, b: Sample): number {
  const [first, second] = [a.index ?? Number.MAX_SAFE_INTEGER, b.index ?? Number.MAX_SAFE_INTEGER]
  return first - second
}

/** What the stand-in knows of the class that a request is about. */
export interface Known {
  readonly isEnrolled: boolean
  /** The enrolled classes of the same storage and partition, the best first. */
  readonly candidates: readonly string[]
}

/**
 * Returns what a comparison results in.
 *
 * @param chosen the outcome that was chosen for this attempt; undefined without one.
 */
export function compare(
  request: AttemptRequest,
  { isEnrolled, candidates }: Known,
  chosen: OutcomeTypes[BwsTask] | undefined,
): Attempt {
  const { task, bcid, time } = request
  const failure = chosen === undefined ? findMissingTemplate(task, isEnrolled, candidates) : chosen
  const success = failure === undefined || failure === 'success'
  const error = success || failure === 'NotRecognized' ? null : failure
  const matched = candidates.slice(0, Math.min(request.maxResults, MAX_MATCHES))
  const matches = task === 'identify' && success ? rank(matched) : []
  return { task, bcid, success, error, matches, time }
}

function findMissingTemplate(
  task: BwsTask,
  isEnrolled: boolean,
  candidates: readonly string[],
): 'NoTemplateAvailable' | undefined {
  const isMissing = (task === 'verify' && !isEnrolled) || (task === 'identify' && candidates.length === 0)
  return isMissing ? 'NoTemplateAvailable' : undefined
}

const BEST_SCORE = 0.96

/** Returns plausible scores: each is a tenth lower than the one before. */
function rank(bcids: readonly string[]): Match[] {
  return bcids.map((bcid, position) => ({ bcid, score: Math.round(BEST_SCORE * 0.9 ** position * 1e6) / 1e6 }))
}
