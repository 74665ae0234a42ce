import type { Metrics } from '../metrics.ts'
import type { Stores } from './open.ts'

type Step = (...values: unknown[]) => Promise<unknown>

/** The same stores, every step of theirs measured. */
export function measureStores({ close, ...stores }: Stores, metrics: Metrics): Stores {
  const measured = Object.entries(stores).map(([name, store]) => [name, measureStore(name, store, metrics)])
  return { ...(Object.fromEntries(measured) as Omit<Stores, 'close'>), close }
}

function measureStore(store: string, steps: object, { storeDuration, storeErrors }: Metrics): object {
  const measured = Object.entries(steps as Record<string, Step>).map(([operation, step]): [string, Step] => [
    operation,
    async (...values) => {
      const end = storeDuration.startTimer({ store, operation })
      try {
        return await step(...values)
      } catch (error) {
        storeErrors.inc({ store, operation })
        throw error
      } finally {
        end()
      }
    },
  ])
  return Object.fromEntries(measured)
}
