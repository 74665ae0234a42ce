import type { RunDetails } from 'fast-check'
import { FULL } from '../full.ts'

/** Where everything that is generated comes from: with the same seed, the same requests. */
export const SEED = Number(process.env.TRIMINT_FUZZ_SEED ?? 20_261_122)

/** Milliseconds after which each test ends with what it has done. */
export const CAMPAIGN = FULL ? 1_000 * Number(process.env.TRIMINT_FUZZ_SECONDS ?? 330) : 12_000

/** What was sent and what came back. */
export interface Tally {
  count(status: number): void
  /** Says it once for whoever watches the full form. */
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

/** Says what was found and how to see it again; what fast-check would print by itself is a batch of hundreds of requests. */
export function reportFinding<Ts>({ failed, errorInstance, seed, counterexamplePath }: RunDetails<Ts>): void {
  if (!failed) return
  const { message } = errorInstance as Error
  throw new Error(`TRIMINT_FUZZ_SEED=${SEED} (seed ${seed}, path ${counterexamplePath}) found:\n${message}`, {
    cause: errorInstance,
  })
}
