import type { CredentialStore } from '../core/ports/credential-store.ts'
import type { FailedAttemptStore } from '../core/ports/failed-attempt-store.ts'
import type { InstanceStore } from '../core/ports/instance-store.ts'
import type { RevocationStore } from '../core/ports/revocation-store.ts'
import type { TokenStore } from '../core/ports/token-store.ts'
import type { UsageStore } from '../core/ports/usage-store.ts'
import { openSqlite } from './sqlite/open.ts'

/** The state that outlives a process and that processes share. Closing one store of a file closes them all. */
export interface Stores {
  readonly failures: FailedAttemptStore
  readonly tokens: TokenStore
  readonly revocations: RevocationStore
  readonly uses: UsageStore
  readonly replicas: InstanceStore
  readonly credentials: CredentialStore
  /**
   * Tells whether the files that were opened are still at their paths. Where they are not, the next start loses what is written now.
   * Undefined for a store without files.
   */
  readonly isInPlace?: () => Promise<boolean>
  /** Returns a sentence for each setting of the server with which it can lose acknowledged writes. */
  readonly warnings?: () => Promise<string[]>
  close(): Promise<void>
}

export interface StoreOptions {
  /** Called when a connection to a server is lost. It is re-established without further calls. */
  readonly onError?: ((error: Error) => void) | undefined
  /**
   * Called once, after a failed sync of a file. From then on every call of these stores rejects. The process has to
   * end: SQLite's recovery at the next start decides what the file holds.
   */
  readonly onFatal?: ((error: Error) => void) | undefined
  /** Milliseconds after which a call to a file rejects that was not answered. */
  readonly timeoutMs?: number | undefined
  /** Whether to create missing files or tables and to migrate those of an older version; true by default. */
  readonly create?: boolean | undefined
}

const SQLITE = 'sqlite:'

const STORE_TIMEOUT_MS = 800

/**
 * Opens the stores that the configuration's `store` names.
 *
 * @throws Error for a file that cannot be opened, for a client that is not installed, and where a server refuses the
 *   user. A server that is unavailable is not an error: calls reject until it is available.
 */
export async function openStores(store: string, options: StoreOptions = {}): Promise<Stores> {
  const { onError = ignore, onFatal = ignore, timeoutMs = STORE_TIMEOUT_MS, create = true } = options
  if (store.startsWith(SQLITE)) return openSqlite(store.slice(SQLITE.length), { onFatal, timeoutMs, create })
  if (/^postgres(ql)?:/.test(store)) {
    const { openPostgres } = await loadWithClient('pg', () => import('./postgres/open.ts'))
    const { warnings, ...stores } = await openPostgres(store, { onError, create })
    return { ...withClose(stores), warnings }
  }
  const { openRedis } = await loadWithClient('redis', () => import('./redis/open.ts'))
  const { warnings, ...stores } = await openRedis(store, onError)
  return { ...withClose(stores), warnings }
}

/** Loads a store on demand: its client is a large part of a start's time and memory, and an optional package. */
async function loadWithClient<Module>(client: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`the package ${client} is not installed; run npm install ${client}`, { cause: error })
  }
}

const ignore = () => undefined

function withClose(stores: Omit<Stores, 'close' | 'isInPlace' | 'warnings'>): Stores {
  return { ...stores, close: async () => void (await Promise.all(Object.values(stores).map((store) => store.close()))) }
}
