import { MAXTRIES_RANGE } from '../../../core/bws/task.ts'
import type { OutcomeList } from '../outcomes/list.ts'
import { type Attempt, type AttemptRequest, compare, findSampleFailure, type Sample } from './attempt.ts'

/** What a token was used for. */
export interface TokenUse {
  /** Uploaded since the last attempt. */
  readonly samples: readonly Sample[]
  /** The oldest first. */
  readonly attempts: readonly Attempt[]
}

export interface BiometricsState {
  readonly uses: readonly (readonly [tokenId: string, use: TokenUse])[]
  /** As in the `bcid` claim, the class that was enrolled last at the end. */
  readonly enrolled: readonly string[]
}

/** An upload as every process gets it: it survives JSON. */
export interface Upload {
  readonly tokenId: string
  readonly app: string
  readonly bcid: string
  readonly sample: Sample
}

/** The samples, attempts and enrolled classes of one process. Every process has the same. */
export interface Biometrics {
  /** Adds a sample. Returns why it is not accepted, or null. */
  upload(upload: Upload): string | null
  /** Performs an operation with all samples of a token, and forgets them. Returns null where there are none. */
  perform(request: AttemptRequest): Attempt | null
  use(tokenId: string): TokenUse | undefined
  save(): BiometricsState
  restore(state: BiometricsState): void
}

const MAX_TOKENS = 1_000
const MAX_SAMPLES = 50
const MAX_CLASSES = 10_000
const MAX_ATTEMPTS = MAXTRIES_RANGE.maximum
const NO_USE: TokenUse = { samples: [], attempts: [] }

export function createBiometrics(outcomes: OutcomeList): Biometrics {
  let uses = new Map<string, TokenUse>()
  let enrolled = new Set<string>()

  function note(tokenId: string, use: TokenUse): void {
    uses.set(tokenId, use)
    const [oldest] = uses.keys()
    if (uses.size > MAX_TOKENS && oldest !== undefined) uses.delete(oldest)
  }

  function enroll(bcid: string): void {
    enrolled.delete(bcid)
    enrolled.add(bcid)
    const [oldest] = enrolled
    if (enrolled.size > MAX_CLASSES && oldest !== undefined) enrolled.delete(oldest)
  }

  /** Returns the enrolled classes of a storage and partition: the given one first, then the newest. */
  function findCandidates(bcid: string): string[] {
    const prefix = bcid.slice(0, bcid.lastIndexOf('/') + 1)
    const others = [...enrolled].reverse().filter((other) => other !== bcid && other.startsWith(prefix))
    return enrolled.has(bcid) ? [bcid, ...others] : others
  }

  return {
    upload({ tokenId, app, bcid, sample }) {
      const use = uses.get(tokenId) ?? NO_USE
      if (use.samples.length >= MAX_SAMPLES) return 'TooManySamples'
      const chosen = outcomes.take('upload', { bcid, app, account: undefined })
      if (chosen !== undefined && chosen !== 'success') return chosen
      note(tokenId, { ...use, samples: [...use.samples, sample] })
      return null
    },
    perform(request) {
      const { tokenId, app, bcid, task, time } = request
      const { samples, attempts } = uses.get(tokenId) ?? NO_USE
      if (samples.length === 0) return null
      const failure = findSampleFailure(samples, request)
      const candidates = task === 'identify' ? findCandidates(bcid) : []
      const attempt: Attempt = failure
        ? { task, bcid, success: false, error: failure, matches: [], time }
        : compare(
            request,
            { isEnrolled: enrolled.has(bcid), candidates },
            outcomes.take(task, { bcid, app, account: undefined }),
          )
      if (attempt.success && (task === 'enroll' || (task === 'verify' && request.autoenroll))) enroll(bcid)
      note(tokenId, { samples: [], attempts: [...attempts, attempt].slice(-MAX_ATTEMPTS) })
      return attempt
    },
    use: (tokenId) => uses.get(tokenId),
    save: () => ({ uses: [...uses], enrolled: [...enrolled] }),
    restore(state) {
      uses = new Map(state.uses)
      enrolled = new Set(state.enrolled)
    },
  }
}
