import { AsyncLocalStorage } from 'node:async_hooks'
import type { Revocations } from '../../core/revocations.ts'
import type { Stores } from '../../store/open-stores.ts'

/** Lets the store fail for some requests (L13). */
export interface StoreOutage {
  /** Runs a step of a request for which the store is away. */
  run<Result>(step: () => Result): Result
  coverStores(stores: Stores): Stores
  /** Also what is cached of the store counts as unknown: otherwise a fresh cache would hide the outage. */
  coverRevocations(revocations: Revocations): Revocations
}

type Step = (...values: unknown[]) => Promise<unknown>

export function createStoreOutage(): StoreOutage {
  const outage = new AsyncLocalStorage<true>()

  function failWhileAway(): void {
    if (outage.getStore()) throw new Error('injected fault: the store is unavailable')
  }

  function cover(store: object): object {
    const steps = Object.entries(store as Record<string, Step>).map(([name, step]): [string, Step] => [
      name,
      async (...values) => {
        failWhileAway()
        return step(...values)
      },
    ])
    return Object.fromEntries(steps)
  }

  return {
    run: (step) => outage.run(true, step),
    coverStores({ close, isInPlace, ...stores }) {
      const covered = Object.entries(stores).map(([name, store]) => [name, cover(store)])
      return { ...(Object.fromEntries(covered) as Stores), ...(isInPlace ? { isInPlace } : {}), close }
    },
    coverRevocations(revocations) {
      return {
        ...revocations,
        async refreshIfStale() {
          failWhileAway()
          await revocations.refreshIfStale()
        },
      }
    },
  }
}
