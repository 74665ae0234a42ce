import type { OutcomeMatch, OutcomesView, OutcomeTypes, ParsedOutcomes } from './schema.ts'

/** Who sends a request: what a `match` is held against. */
export type Subject = Readonly<Record<keyof OutcomeMatch, string | undefined>>

/** The outcomes of one process. Every process has the same. */
export interface OutcomeList {
  all(): readonly ParsedOutcomes[]
  replaceAll(sets: readonly ParsedOutcomes[]): void
  /** Replaces the set with the same match. Returns false where there are too many. */
  put(set: ParsedOutcomes): boolean
  /** Takes the next outcome of an operation; undefined where none was chosen, or all have been taken. */
  take<Operation extends keyof OutcomeTypes>(
    operation: Operation,
    subject: Subject,
  ): OutcomeTypes[Operation] | undefined
  view(): OutcomesView
}

const MAX_SETS = 100

export function createOutcomeList(): OutcomeList {
  /** The one that decides first comes first. */
  let sets: readonly ParsedOutcomes[] = []

  return {
    all: () => sets,
    replaceAll(next) {
      sets = next
    },
    put(set) {
      const key = keyOf(set.match)
      const others = sets.filter(({ match }) => keyOf(match) !== key)
      if (others.length >= MAX_SETS) return false
      sets = [structuredClone(set), ...others].toSorted((a, b) => sizeOf(b.match) - sizeOf(a.match))
      return true
    },
    take(operation, subject) {
      for (const { match, bws, idscan } of sets) {
        if (!fits(match, subject)) continue
        const chosen: unknown = { ...bws, ...idscan }[operation]
        const next: unknown = Array.isArray(chosen) ? chosen.shift() : chosen
        if (next !== undefined) return next as OutcomeTypes[typeof operation]
      }
      return undefined
    },
    view() {
      const general = sets.find(({ match }) => sizeOf(match) === 0)
      return {
        bws: general?.bws ?? {},
        idscan: general?.idscan ?? {},
        matched: sets.filter(({ match }) => sizeOf(match) > 0),
      }
    },
  }
}

/** Everything that is given has to fit. */
function fits(match: OutcomeMatch, subject: Subject): boolean {
  return Object.entries(match).every(([key, wanted]) => subject[key as keyof OutcomeMatch] === wanted)
}

function sizeOf(match: OutcomeMatch): number {
  return Object.keys(match).length
}

function keyOf({ bcid, app, account }: OutcomeMatch): string {
  return JSON.stringify([bcid, app, account])
}
