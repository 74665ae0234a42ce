import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { record, recordRefusal } from './leak-recorder.ts'

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** Records every refusal that a server of this process sends. Returns a function that ends this. */
export function recordRefusalsOf(port: number): () => void {
  const record = (message: unknown): void => {
    const { request, response } = message as Exchange
    if (request.socket.localPort === port) recordRefusal(response)
  }
  subscribe('http.server.request.start', record)
  return () => void unsubscribe('http.server.request.start', record)
}

function recordRefusal(response: ServerResponse): void {
  const said: string[] = []
  // Headers that are passed together with the status are in no list of headers.
  for (const step of ['setHeader', 'writeHead', 'write', 'end'] as const) {
    const original = response[step] as (...values: unknown[]) => unknown
    Object.defineProperty(response, step, {
      value: (...values: unknown[]) => {
        said.push(...values.map(toText))
        return Reflect.apply(original, response, values)
      },
    })
  }
  response.once('finish', () => recordRefusal(response.statusCode, said.join('\n')))
}

/** Counts the open connections to a port of this process, from now on. */
export function watchConnections(port: number): { count(): number; stop(): void } {
  const sockets = new Set<Socket>()
  const record = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    if (socket.localPort !== port) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  subscribe('net.server.socket', record)
  return { count: () => sockets.size, stop: () => void unsubscribe('net.server.socket', record) }
}

function toText(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Writes down the bytes of every file below a folder whose name matches: a database with what goes beside it, or a log of Redis. */
export async function recordStores(folder: string, pattern: RegExp): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (entry.isFile() && pattern.test(entry.name))
      record('stores', await readFile(join(entry.parentPath, entry.name)))
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
  recordAndRemove(): Promise<void>
}

export async function createStoreFile(): Promise<StoreFile> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-store-'))
  return {
    store: `sqlite:${join(folder, 'trimint.db')}`,
    async recordAndRemove() {
      await recordStores(folder, SQLITE_FILES)
      await rm(folder, { recursive: true, force: true })
    },
  }
}
