import type { Clock } from '../core/clock.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Stores } from './open-stores.ts'

type Step = (...values: unknown[]) => Promise<unknown>

/**
 * Wraps stores so that each call's duration and failure are recorded.
 *
 * @param uptime returns milliseconds of a monotonic clock.
 */
export function instrumentStores(
  { close, isInPlace, warnings: _, ...stores }: Stores,
  metrics: Metrics,
  uptime: Clock,
): Stores {
  const measured = Object.entries(stores).map(([name, store]) => [name, measureStore(name, store, metrics, uptime)])
  return { ...(Object.fromEntries(measured) as Omit<Stores, 'close'>), ...(isInPlace ? { isInPlace } : {}), close }
}

function measureStore(store: string, steps: object, { storeDuration, storeErrors }: Metrics, uptime: Clock): object {
  const measured = Object.entries(steps as Record<string, Step>).map(([operation, step]): [string, Step] => [
    operation,
    (...values) => {
      const begin = uptime()
      const end = () => storeDuration.observe({ store, operation }, (uptime() - begin) / 1000)
      const result = step(...values)
      // Not awaited: measuring must not delay the caller.
      result.then(end, () => {
        storeErrors.inc({ store, operation })
        end()
      })
      return result
    },
  ])
  return Object.fromEntries(measured)
}
