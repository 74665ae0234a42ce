import { DatabaseSync } from 'node:sqlite'
import type { Caller, Connections, Operations } from './calls.ts'
import { createSqliteCredentialStore } from './credential-store.ts'
import { openDatabase } from './database.ts'
import { createSqliteFailedAttemptStore } from './failed-attempt-store.ts'
import { watchFiles } from './file-identity.ts'
import { createSqliteInstanceStore } from './instance-store.ts'
import { createLocalWriter, openThreadWriter } from './open-writer.ts'
import { prepareOperations } from './operations.ts'
import { createReader } from './reader.ts'
import { createSqliteRevocationStore } from './revocation-store.ts'
import { createSqliteTokenStore } from './token-store.ts'
import { createSqliteUsageStore } from './usage-store.ts'
import type { Writer, WriterOptions } from './writer.ts'

const MEMORY = ':memory:'

/**
 * Opens the embedded store. Several processes may share a file.
 *
 * @param path a file, or `:memory:`.
 * @throws Error for a file that cannot be opened.
 */
export async function openSqlite(path: string, options: WriterOptions) {
  const { writer, database } = path === MEMORY ? openMemory(options) : await openFile(path, options)
  const isInPlace = path === MEMORY ? undefined : await watchFiles(path)
  const reader = createReader(database, writer.assertUsable, options.timeoutMs)

  function connect<Callable extends Operations>(store: string): Connections<Callable> {
    const write = (operation: string, ...values: unknown[]) => writer.write([store, operation, ...values])
    const read = (operation: string, ...values: unknown[]) => writer.read([store, operation, ...values])
    return { reader, write: write as Caller<Callable>, read: read as Caller<Callable> }
  }

  async function close(): Promise<void> {
    await writer.settle()
    // The writing connection closes last: only it may copy the log into the database and delete it.
    reader.close()
    await writer.close()
  }

  return {
    failures: { ...createSqliteFailedAttemptStore(connect('failures')), close },
    tokens: { ...createSqliteTokenStore(connect('tokens')), close },
    revocations: { ...createSqliteRevocationStore(connect('revocations')), close },
    uses: { ...createSqliteUsageStore(connect('uses')), close },
    replicas: { ...createSqliteInstanceStore(connect('replicas')), close },
    credentials: { ...createSqliteCredentialStore(connect('credentials')), close },
    ...(isInPlace ? { isInPlace } : {}),
    close,
  }
}

function openMemory(options: WriterOptions): { writer: Writer; database: DatabaseSync } {
  const database = openDatabase(MEMORY)
  return { database, writer: createLocalWriter(database, prepareOperations(database), options) }
}

async function openFile(path: string, options: WriterOptions): Promise<{ writer: Writer; database: DatabaseSync }> {
  const writer = await openThreadWriter(path, options)
  try {
    return { writer, database: new DatabaseSync(path, { readOnly: true }) }
  } catch (error) {
    await writer.close()
    throw error
  }
}
