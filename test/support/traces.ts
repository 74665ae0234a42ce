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

/** Records every refusal that servers in this process send. Returns a function that stops it. */
export function recordRefusalsOf(port: number): () => void {
  const onRequest = (message: unknown): void => {
    const { request, response } = message as Exchange
    if (request.socket.localPort === port) recordReplyIfRefusal(response)
  }
  subscribe('http.server.request.start', onRequest)
  return () => void unsubscribe('http.server.request.start', onRequest)
}

function recordReplyIfRefusal(response: ServerResponse): void {
  const said: string[] = []
  // Node does not list headers that were passed together with the status.
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

/** Counts the open connections to a port of this process from now on. */
export function watchConnections(port: number): { count(): number; stop(): void } {
  const sockets = new Set<Socket>()
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    if (socket.localPort !== port) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  subscribe('net.server.socket', onSocket)
  return { count: () => sockets.size, stop: () => void unsubscribe('net.server.socket', onSocket) }
}

function toText(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Records the bytes of every matching file below a folder. */
export async function recordStores(folder: string, pattern: RegExp): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (entry.isFile() && pattern.test(entry.name)) record('stores', await readFile(join(entry.parentPath, entry.name)))
  }
}

/** An SQLite database and its write-ahead log. */
export const SQLITE_FILES = /\.db(?:-wal)?$/

/** The append-only files of Redis. */
export const REDIS_FILES = /\.aof$/

export interface StoreFile {
  /** The value for `store` in a configuration. */
  readonly store: string
  /** Records its bytes for the leak search, then removes it. */
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
