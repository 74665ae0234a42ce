import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pLimit from 'p-limit'
import { openStores, type StoreOptions, type Stores } from '../../src/store/open-stores.ts'

type Name = Exclude<keyof Stores, 'close' | 'isInPlace' | 'warnings'>

/** For tests that fill a store: one that is given everything at once answers the last calls too late. */
export const fewAtATime = pLimit(100)

/** Opens one of the stores behind a name. Closing it closes all of them. */
export async function openStore<Kind extends Name>(
  kind: Kind,
  store: string,
  options: StoreOptions = {},
): Promise<Stores[Kind]> {
  const stores = await openStores(store, options)
  return { ...stores[kind], close: () => stores.close() }
}

/** Two stores on the same data, as two processes have them, that several tests use one after the other. */
export interface SharedStores<Store> {
  /** Returns the two stores; opens them for the first test, and after a test that closed one. */
  openTwo(): Promise<[Store, Store]>
  /** Deletes all data. */
  empty(): Promise<void>
  close(): Promise<void>
}

/**
 * Shares two stores between tests: each opening connects again, or starts a thread that loads the store again.
 *
 * @param name returns the value for `store` in a configuration. It is called for the first test.
 * @param emptyAt deletes the data of such a store.
 */
export function shareStores<Kind extends Name>(
  kind: Kind,
  name: () => string | Promise<string>,
  emptyAt: (name: string) => Promise<void>,
): SharedStores<Stores[Kind]> {
  const all: Stores[Kind][] = []
  let current: Promise<{ name: string; stores: [Stores[Kind], Stores[Kind]] }> | undefined

  async function open(name: string): Promise<Stores[Kind]> {
    const store = await openStore(kind, name)
    all.push(store)
    async function close(): Promise<void> {
      current = undefined
      await store.close()
    }
    return { ...store, close }
  }

  async function openBoth() {
    const chosen = await name()
    const stores: [Stores[Kind], Stores[Kind]] = [await open(chosen), await open(chosen)]
    return { name: chosen, stores }
  }

  return {
    async openTwo() {
      current ??= openBoth()
      return (await current).stores
    },
    async empty() {
      if (current) await emptyAt((await current).name)
    },
    async close() {
      await Promise.all(all.map((store) => store.close()))
    },
  }
}

/** Shares two stores on one file between tests. */
export function shareFile<Kind extends Name>(kind: Kind, newFile: () => string): SharedStores<Stores[Kind]> {
  return shareStores(kind, () => `sqlite:${newFile()}`, emptyFile)
}

async function emptyFile(name: string): Promise<void> {
  using database = new DatabaseSync(name.slice('sqlite:'.length))
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
  for (const { name } of tables.all()) database.exec(`DELETE FROM ${name}`)
}

/** Creates a folder for files of stores. */
export function createStoreFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `trimint-${name}-`))
}
