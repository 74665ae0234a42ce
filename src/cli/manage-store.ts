import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { storeFileIssue } from '../config/store-file.ts'
import { IN_MEMORY_STORE, redactStoreUrl, resolveStoreUrl, sqlitePath, storeUrlIssue } from '../config/store-url.ts'
import { moveStore } from '../store/copy.ts'
import { openSqliteSource, type SqliteSource } from '../store/sqlite/source.ts'
import { CommandError, type CommandIo } from './io.ts'
import { configurationOf, warnIfUnserved, withStoresAt } from './store.ts'

/**
 * Checks that the store can be opened, read and written, and warns where it can lose acknowledged writes.
 *
 * @param name URL, or `file:` and the path of a file with the URL; by default, the configured store.
 */
export async function checkStore(io: CommandIo, name?: string): Promise<void> {
  const url = name === undefined ? configurationOf(io).store : readStoreUrl(name)
  await withStoresAt(url, { create: false }, async (stores) => {
    const { replicas, revocations, warnings } = stores
    await revocations.since(undefined)
    // Expired, so that no command takes it for a server.
    const announcement = { id: 'trimint store check', instance: 'trimint store check', keys: [], expires: io.clock() }
    await replicas.announce(announcement, new Map())
    await replicas.leave(announcement.id, new Map())
    io.stdout.write(`${redactStoreUrl(url)} can be read and written, and is of this release\n`)
    for (const warning of (await warnings?.()) ?? []) io.stderr.write(`warning: ${warning}\n`)
    await warnIfUnserved(io, stores)
  })
}

/** Creates or migrates a store, as a server does at its start. For servers that may not do it themselves. */
export async function migrateStore(io: CommandIo, name?: string): Promise<void> {
  const url = name === undefined ? configurationOf(io).store : readStoreUrl(name)
  await withStoresAt(url, { create: true }, async ({ replicas }) => {
    // Opening a store does not fail while its server is unavailable.
    await replicas.running(io.clock())
    io.stdout.write(`${redactStoreUrl(url)} is of this release\n`)
  })
}

/** Moves the records of an SQLite file to another store, while servers use the file. */
export async function copyStore(io: CommandIo, from: string, to: string): Promise<void> {
  const path = sqlitePath(readStoreUrl(from))
  if (path === undefined) throw new CommandError('only an SQLite file can be copied; expected sqlite:path')
  const url = readStoreUrl(to)
  if (isSameFile(path, sqlitePath(url))) throw new CommandError('the store cannot be copied to itself')
  const source = openSource(path)
  try {
    await withStoresAt(url, { create: true }, (target) =>
      moveStore(source, target, {
        clock: io.clock,
        randomness: io.randomness,
        onPass: (changes) => io.stdout.write(`copied ${changes} records\n`),
      }).catch((error: Error) => {
        throw new CommandError(`not moved, servers continue with the old store: ${error.message}`)
      }),
    )
  } finally {
    source.close()
  }
  io.stdout.write(`moved to ${redactStoreUrl(url)}; configure this store, and restart every server\n`)
}

/** Compares the files, not the paths: a copy deletes keys from its target, and links lead to the same file. */
function isSameFile(source: string, target: string | undefined): boolean {
  if (target === undefined) return false
  if (source === target) return true
  const [one, other] = [source, target].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }))
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino
}

function openSource(path: string): SqliteSource {
  try {
    return openSqliteSource(path)
  } catch (error) {
    throw new CommandError(`the store cannot be opened: ${(error as Error).message}`)
  }
}

/** Returns the URL of a store that an argument names. A file keeps its password out of the list of processes. */
function readStoreUrl(name: string): string {
  const text = name.startsWith('file:') ? readText(name.slice('file:'.length)) : name
  const syntaxIssue = storeUrlIssue(text)
  if (syntaxIssue) throw new CommandError(`store: ${syntaxIssue}`)
  if (text === IN_MEMORY_STORE) throw new CommandError('store: in memory; expected one that servers share')
  const url = resolveStoreUrl(text, resolve())
  const fileIssue = storeFileIssue(url)
  if (fileIssue) throw new CommandError(`store: ${fileIssue}`)
  return url
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new CommandError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}
