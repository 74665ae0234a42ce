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

  function cover<Values extends unknown[], Result>(step: (...values: Values) => Promise<Result>) {
    return (...values: Values): Promise<Result> =>
      outage.getStore() ? Promise.reject(new Error('injected fault: the store is unavailable')) : step(...values)
  }

  function coverStore(store: object): object {
    const steps = Object.entries(store as Record<string, Step>).map(([name, step]) => [name, cover(step)])
    return Object.fromEntries(steps)
  }

  return {
    run: (step) => outage.run(true, step),
    coverStores({ close, isInPlace, warnings: _, ...stores }) {
      const covered = Object.entries(stores).map(([name, store]) => [name, coverStore(store)])
      return { ...(Object.fromEntries(covered) as Stores), ...(isInPlace ? { isInPlace } : {}), close }
    },
    coverRevocations(revocations) {
      return { ...revocations, refreshIfStale: cover(revocations.refreshIfStale) }
    },
  }
}
