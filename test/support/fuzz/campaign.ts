import type { RunDetails } from 'fast-check'
import { FULL } from '../full.ts'

/** The seed of everything generated: the same seed generates the same requests. */
export const SEED = Number(process.env.TRIMINT_FUZZ_SEED ?? 20_261_122)

/** Milliseconds after which each test stops generating. */
export const CAMPAIGN_MS = FULL ? 1_000 * Number(process.env.TRIMINT_FUZZ_SECONDS ?? 330) : 12_000

/** Counts answers by status. */
export interface Tally {
  count(status: number): void
  /** Writes the counts to standard error in a full run. */
  report(what: string): void
  readonly sent: number
}

export function createTally(): Tally {
  const began = performance.now()
  const byStatus = new Map<number, number>()
  return {
    count: (status) => void byStatus.set(status, (byStatus.get(status) ?? 0) + 1),
    get sent() {
      return byStatus.values().reduce((sum, count) => sum + count, 0)
    },
    report(what) {
      if (!FULL) return
      const seconds = (performance.now() - began) / 1000
      const statuses = [...byStatus].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
      const rate = Math.round(this.sent / seconds)
      process.stderr.write(
        `${what}: ${this.sent} answers in ${Math.round(seconds)} s (${rate}/s), seed ${SEED}; ${statuses.join(', ')}\n`,
      )
    },
  }
}

/** Reports a finding and the seed that repeats it. The report of fast-check would be hundreds of requests long. */
export function reportFinding<Ts>({ failed, errorInstance, seed, counterexamplePath }: RunDetails<Ts>): void {
  if (!failed) return
  const { message } = errorInstance as Error
  throw new Error(`TRIMINT_FUZZ_SEED=${SEED} (seed ${seed}, path ${counterexamplePath}) found:\n${message}`, {
    cause: errorInstance,
  })
}
