import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeDown, writeRefusal } from './leak-recorder.ts'

/** Writes down every refusal that a server sends, whoever asks. */
export function watchRefusals(server: Pick<Server, 'prependListener'>): void {
  server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
    const said: string[] = []
    // What is handed over together with the status is in no list of headers.
    for (const step of ['setHeader', 'writeHead', 'write', 'end'] as const) {
      const original = response[step] as (...values: unknown[]) => unknown
      Object.defineProperty(response, step, {
        value: (...values: unknown[]) => {
          said.push(...values.map(toText))
          return Reflect.apply(original, response, values)
        },
      })
    }
    response.once('finish', () => writeRefusal(response.statusCode, said.join('\n')))
  })
}

function toText(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Writes down the bytes of every file below a folder whose name matches: a database with what goes beside it, or a log of Redis. */
export async function writeDownStores(folder: string, pattern: RegExp): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (entry.isFile() && pattern.test(entry.name))
      writeDown('stores', await readFile(join(entry.parentPath, entry.name)))
  }
}

/** What an SQLite store consists of: the database, and what was written since it was last tidied up. */
export const SQLITE_FILES = /\.db(?:-wal)?$/

/** The commands that an append-only Redis was given. */
export const REDIS_FILES = /\.aof$/

export interface StoreFile {
  /** As the configuration names it. */
  readonly store: string
  /** Keeps its bytes for the search, and removes it. */
  writeDown(): Promise<void>
}

export async function createStoreFile(): Promise<StoreFile> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-store-'))
  return {
    store: `sqlite:${join(folder, 'trimint.db')}`,
    async writeDown() {
      await writeDownStores(folder, SQLITE_FILES)
      await rm(folder, { recursive: true, force: true })
    },
  }
}
