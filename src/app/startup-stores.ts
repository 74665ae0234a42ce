import type { Logger } from 'pino'
import type { ConfigIssue } from '../config/config-issue.ts'
import type { Configuration } from '../config/schema.ts'
import { openStores, type Stores } from '../store/open-stores.ts'
import { StartError } from './start-error.ts'
import type { TrimintOptions } from './trimint.ts'

/** Tells whether no store has to be opened. */
export function hasEveryStore(stores: Partial<Stores> = {}): stores is Stores {
  const { failures, tokens, revocations, uses, replicas, credentials } = stores
  return Boolean(failures && tokens && revocations && uses && replicas && credentials)
}

/** Opens the stores of a configuration. @throws StartError where they cannot be opened. */
export async function openStoresOf(
  { store }: Configuration,
  file: string | undefined,
  { onFatal = () => undefined }: TrimintOptions,
  logger: Logger,
): Promise<Stores> {
  try {
    return await openStores(store, {
      onError: (error) => logger.warn({ event: 'store.failed', error: error.message }),
      onFatal(error) {
        logger.fatal({ event: 'store.lost', error: error.message })
        onFatal(error)
      },
    })
  } catch (error) {
    const issue: ConfigIssue = {
      file: file ?? 'built-in',
      path: 'store',
      message: `cannot be opened: ${(error as Error).message}`,
    }
    throw new StartError([issue], { cause: error })
  }
}
