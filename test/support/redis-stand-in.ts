import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { vi } from 'vitest'
import type { RedisClient } from '../../src/store/redis/client.ts'
import {
  createRedisConnection,
  type RedisConnection,
  type RedisConnectionOptions,
} from '../../src/store/redis/connection.ts'

/** A reply of Redis; an Error is sent as one. After `undefined` the connection hangs. */
export type Reply = string | number | null | undefined | Error | readonly Reply[] | { readonly [name: string]: Reply }

/** A server that speaks the protocol of Redis and answers what a test says, as no real one would. */
export interface RedisStandIn extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly url: string
  /** What it received, without what the client sends when it connects. */
  readonly received: readonly (readonly string[])[]
  /** How many connections are open. */
  connections(): number
  /** Closes them. */
  disconnect(): void
  /** Says that it has another role: master, or replica. */
  become(role: string): void
}

/** Starts a stand-in. `answer` gets each command but those that the client sends when it connects. */
export async function startRedisStandIn(answer: (words: readonly string[]) => Reply): Promise<RedisStandIn> {
  const received: string[][] = []
  const sockets = new Set<Socket>()
  let role = 'master'

  function replyTo(words: string[]): Reply {
    if (words[0] === 'HELLO') return { server: 'redis', version: '7.0.0', proto: 3, role, modules: [] }
    if (words[0] === 'CLIENT') return 'OK'
    received.push(words)
    return answer(words)
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    let text = ''
    let hangs = false
    socket.setEncoding('utf8')
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      text += chunk
      let replies = ''
      for (let read = readCommand(text); read; read = readCommand(text)) {
        text = read.rest
        const reply = replyTo(read.words)
        hangs ||= reply === undefined
        if (!hangs) replies += encode(reply)
      }
      socket.write(replies)
    })
  })

  function disconnect(): void {
    for (const socket of sockets) socket.destroy()
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    url: `redis://127.0.0.1:${port}/0`,
    received,
    connections: () => sockets.size,
    disconnect,
    become: (other) => {
      role = other
    },
    async [Symbol.asyncDispose]() {
      disconnect()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Reads an array of texts (redis.io/docs/latest/develop/reference/protocol-spec); undefined while it is incomplete. */
function readCommand(text: string): { words: string[]; rest: string } | undefined {
  const parts = text.split('\r\n')
  const count = Number(parts[0]?.slice(1))
  // For each word its length and itself; the last part is empty, or begins the next command.
  if (text === '' || parts.length < 2 * count + 2) return undefined
  const words = Array.from({ length: count }, (_, at) => parts[2 * at + 2] ?? '')
  return { words, rest: parts.slice(2 * count + 1).join('\r\n') }
}

function encode(reply: Reply): string {
  if (reply === null || reply === undefined) return '_\r\n'
  if (typeof reply === 'number') return `:${reply}\r\n`
  if (typeof reply === 'string') return `$${Buffer.byteLength(reply)}\r\n${reply}\r\n`
  if (reply instanceof Error) return `-${reply.message}\r\n`
  if (isList(reply)) return `*${reply.length}\r\n${reply.map(encode).join('')}`
  const entries = Object.entries(reply)
  return `%${entries.length}\r\n${entries.map(([name, value]) => encode(name) + encode(value)).join('')}`
}

const isList = (reply: object): reply is readonly Reply[] => Array.isArray(reply)

interface Started {
  readonly connection: RedisConnection
  readonly onError: ReturnType<typeof vi.fn<(error: Error) => void>>
}

export const ask = (client: RedisClient) => client.sendCommand(['ASK'])

/** Opens a connection, and closes it with the stack. */
export function openConnection(stack: AsyncDisposableStack, options: Partial<RedisConnectionOptions>): Started {
  const onError = vi.fn<(error: Error) => void>()
  const connection = createRedisConnection({
    topology: { find: () => Promise.reject(new Error('no server')), keyPrefix: '' },
    replicas: 0,
    prepare: async () => undefined,
    onError,
    ...options,
  })
  stack.defer(() => connection.close())
  return { connection, onError }
}

/** A topology of one server that can be replaced by another. */
export function createTopology(first: RedisStandIn) {
  const state = { server: first, searches: 0 }
  async function find() {
    state.searches += 1
    return { url: state.server.url }
  }
  return { state, topology: { find, watch: find, keyPrefix: '' } }
}

/** Starts a stand-in, and stops it with the stack. */
export async function useStandIn(stack: AsyncDisposableStack, answer: (words: readonly string[]) => Reply) {
  return stack.use(await startRedisStandIn(answer))
}
