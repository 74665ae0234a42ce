import { accessSync, constants, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStores, type StoreOptions, type Stores } from '../../src/store/open-stores.ts'

type Name = Exclude<keyof Stores, 'close'>

/** Opens one of the stores behind a name. Closing it closes all of them. */
export async function openStore<Kind extends Name>(
  kind: Kind,
  store: string,
  options: StoreOptions = {},
): Promise<Stores[Kind]> {
  const stores = await openStores(store, options)
  return { ...stores[kind], close: () => stores.close() }
}

/** Creates a folder for store files, in memory where possible, because each commit waits for the disk. */
export function createStoreFolder(name: string): string {
  return mkdtempSync(join(isWritable(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), `trimint-${name}-`))
}

const MEMORY_FOLDER = '/dev/shm'

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
