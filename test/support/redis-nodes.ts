import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRedisClient } from '../../src/store/redis/client.ts'
import { SLOT } from '../../src/store/redis/cluster.ts'
import type { RedisServer } from '../../src/store/redis/server.ts'
import { findFreePort } from './ports.ts'
import { isLeftOut } from './programs.ts'

/** One server of several. */
export interface RedisNode {
  readonly port: number
  /** Sends a command, over a connection of its own. */
  send(...words: string[]): Promise<unknown>
  /** Suspends the process without closing a connection. */
  freeze(): void
  thaw(): void
  kill(): Promise<void>
  /** Starts it again in its folder. */
  start(): Promise<void>
}

/** Several servers that act as one store. */
export interface RedisNodes extends AsyncDisposable {
  /** The value for `store`. */
  readonly url: string
  /** The first one is the primary at the start. */
  readonly servers: readonly RedisNode[]
  /** None in a Cluster. */
  readonly sentinels: readonly RedisNode[]
  /** Deletes all data. */
  flush(): Promise<void>
}

export interface NodesOptions {
  /** The replicas of the primary that Trimint uses. */
  readonly replicas?: number
  /** Milliseconds without an answer after which a server counts as failed. By default none fails on a busy machine. */
  readonly failsAfterMs?: number
  /** What follows the URL: `?wait=1`. */
  readonly query?: string
  /** A folder with `ca.pem`, `redis.pem` and `redis.key`: all connections use TLS. */
  readonly tlsFolder?: string | undefined
}

const SLOW_MS = 20_000

const PRIMARY_NAME = 'mymaster'

const FAST =
  '--bind 127.0.0.1 --save --appendonly no --repl-diskless-sync-delay 0 --repl-diskless-load on-empty-db --repl-ping-replica-period 1'.split(
    ' ',
  )
const WORDS = FAST.flatMap((word) => (word === '--save' ? [word, ''] : [word]))

/** Returns the settings of a server that listens on a port. */
function listenOn(port: number, tlsFolder: string | undefined): [name: string, value: string][] {
  if (tlsFolder === undefined) return [['port', String(port)]]
  return [
    ['port', '0'],
    ['tls-port', String(port)],
    ['tls-cert-file', join(tlsFolder, 'redis.pem')],
    ['tls-key-file', join(tlsFolder, 'redis.key')],
    ['tls-ca-cert-file', join(tlsFolder, 'ca.pem')],
    ['tls-auth-clients', 'no'],
    ['tls-replication', 'yes'],
    ['tls-cluster', 'yes'],
  ]
}

const toWords = (settings: [string, string][]): string[] => settings.flatMap(([name, value]) => [`--${name}`, value])

/** Sends a command to a server. */
export async function sendTo(server: string | RedisServer, ...words: string[]): Promise<unknown> {
  const client = createRedisClient(typeof server === 'string' ? { url: server } : server, () => undefined)
  await client.connect()
  try {
    return await client.sendCommand(words)
  } finally {
    client.destroy()
  }
}

/** Starts one process. @param files their contents, by name in its folder. */
async function startNode(
  port: number,
  words: readonly string[],
  tlsFolder: string | undefined,
  files: Record<string, string> = {},
) {
  const server: RedisServer =
    tlsFolder === undefined
      ? { url: `redis://127.0.0.1:${port}` }
      : { url: `rediss://127.0.0.1:${port}`, ca: await readFile(join(tlsFolder, 'ca.pem'), 'utf8') }
  const folder = await mkdtemp(join(tmpdir(), 'trimint-redis-node-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const started = spawn('redis-server', [...words], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
    child = started
    let said = ''
    for await (const chunk of started.stdout) {
      said += chunk
      if (/Ready to accept connections|Sentinel ID is/.test(said)) return
    }
    throw new Error(`redis-server did not start:\n${said}`)
  }

  async function kill(): Promise<void> {
    if (!child) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    child = undefined
    await exit
  }

  await start()
  return {
    port,
    send: (...sent: string[]) => sendTo(server, ...sent),
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill,
    start,
    async remove() {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const idOf = (port: number): string => createHash('sha1').update(String(port)).digest('hex')

async function findPorts(count: number): Promise<number[]> {
  const ports: number[] = []
  for (let at = 0; at < count; at++) ports.push(await findFreePort())
  return ports
}

/** Tells whether so many replicas follow a primary and have confirmed it. */
export async function hasReplicas(primary: RedisNode, count: number): Promise<boolean> {
  const text = String(await primary.send('INFO', 'replication'))
  return text.match(/state=online,offset=[1-9]/g)?.length === count || count === 0
}

/** Unlike `expect.poll`, it also works in hooks. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20)
}

/** Starts a primary, its replicas and three Sentinels that know all of them. */
export async function startSentinels(options: NodesOptions = {}): Promise<RedisNodes> {
  const { replicas = 1, failsAfterMs = SLOW_MS, query = '', tlsFolder } = options
  await using stack = new AsyncDisposableStack()
  const [primaryPort = 0, ...replicaPorts] = await findPorts(1 + replicas)
  const sentinelPorts = await findPorts(3)

  async function startServer(port: number): Promise<RedisNode> {
    const role = port === primaryPort ? [] : ['--replicaof', '127.0.0.1', String(primaryPort)]
    const node = await startNode(port, [...toWords(listenOn(port, tlsFolder)), ...WORDS, ...role], tlsFolder)
    stack.defer(node.remove)
    return node
  }

  async function startSentinel(port: number): Promise<RedisNode> {
    const lines = [
      ...listenOn(port, tlsFolder).map((setting) => setting.join(' ')),
      'bind 127.0.0.1',
      `sentinel myid ${idOf(port)}`,
      `sentinel monitor ${PRIMARY_NAME} 127.0.0.1 ${primaryPort} 2`,
      `sentinel down-after-milliseconds ${PRIMARY_NAME} ${failsAfterMs}`,
      `sentinel failover-timeout ${PRIMARY_NAME} 2000`,
      `sentinel parallel-syncs ${PRIMARY_NAME} ${Math.max(1, replicas)}`,
      ...replicaPorts.map((replica) => `sentinel known-replica ${PRIMARY_NAME} 127.0.0.1 ${replica}`),
      ...sentinelPorts
        .filter((other) => other !== port)
        .map((other) => `sentinel known-sentinel ${PRIMARY_NAME} 127.0.0.1 ${other} ${idOf(other)}`),
    ]
    const node = await startNode(port, ['sentinel.conf', '--sentinel'], tlsFolder, {
      'sentinel.conf': `${lines.join('\n')}\n`,
    })
    stack.defer(node.remove)
    return node
  }

  const servers = await Promise.all([primaryPort, ...replicaPorts].map(startServer))
  const [primary] = servers as [RedisNode]
  await until(() => hasReplicas(primary, replicas))
  const sentinels = await Promise.all(sentinelPorts.map(startSentinel))
  const started = stack.move()
  return {
    url: `redis${tlsFolder === undefined ? '' : 's'}+sentinel://${sentinelPorts.map((port) => `127.0.0.1:${port}`).join(',')}/${PRIMARY_NAME}${query}`,
    servers,
    sentinels,
    flush: async () => void (await primary.send('FLUSHALL')),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

/** The slots of three primaries. The first one's include that of Trimint. */
const SLOTS = ['0-5460', '5461-10922', '10923-16383']

/** Starts a Cluster of three primaries. The first one, which has the slot of Trimint, has replicas. */
export async function startCluster(options: NodesOptions = {}): Promise<RedisNodes> {
  const { replicas = 0, failsAfterMs = SLOW_MS, query = '', tlsFolder } = options
  await using stack = new AsyncDisposableStack()
  const [firstPort = 0, ...ports] = await findPorts(SLOTS.length + replicas)
  const replicaPorts = ports.splice(0, replicas)
  const all = [firstPort, ...replicaPorts, ...ports]
  const busPorts = new Map<number, number>()
  for (const port of all) busPorts.set(port, await findFreePort())

  /** Each node knows all others from the start, so that they need not meet. */
  function describeNodes(self: number): string {
    const primaries = [firstPort, ...ports]
    const lines = all.map((port) => {
      const at = primaries.indexOf(port)
      const role = at === -1 ? 'slave' : 'master'
      const flags = port === self ? `myself,${role}` : role
      const rest = at === -1 ? [idOf(firstPort), 0, 0, 1, 'connected'] : ['-', 0, 0, at + 1, 'connected', SLOTS[at]]
      return [idOf(port), `127.0.0.1:${port}@${busPorts.get(port)}`, flags, ...rest].join(' ')
    })
    return [...lines, `vars currentEpoch ${SLOTS.length} lastVoteEpoch 0`, ''].join('\n')
  }

  async function startMember(port: number): Promise<RedisNode> {
    const cluster = `--cluster-enabled yes --cluster-port ${busPorts.get(port)} --cluster-node-timeout ${failsAfterMs} --cluster-require-full-coverage no --cluster-replica-validity-factor 0`
    const words = [...toWords(listenOn(port, tlsFolder)), ...WORDS, ...cluster.split(' ')]
    const node = await startNode(port, words, tlsFolder, { 'nodes.conf': describeNodes(port) })
    stack.defer(node.remove)
    return node
  }

  const servers = await Promise.all(all.map(startMember))
  const [first] = servers as [RedisNode, ...RedisNode[]]
  for (const node of servers) {
    await until(async () => String(await node.send('CLUSTER', 'INFO')).includes('cluster_state:ok'))
  }
  await until(() => hasReplicas(first, replicas))
  const started = stack.move()
  return {
    url: `redis${tlsFolder === undefined ? '' : 's'}+cluster://${all.map((port) => `127.0.0.1:${port}`).join(',')}${query}`,
    servers,
    sentinels: [],
    flush: async () => void (await first.send('FLUSHALL')),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

/** Returns the port of the node that has the slot of Trimint, as a node sees it. */
export async function ownerPort(node: RedisNode): Promise<number | undefined> {
  const ranges = (await node.send('CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
  return ranges.find(([first, last]) => first <= SLOT && SLOT <= last)?.[2][1]
}

/** Servers that start for the first test that needs them, and that the tests of a file share. */
export interface SharedNodes {
  readonly kind: string
  url(): Promise<string>
  /** Deletes all data. */
  flush(): Promise<void>
  stop(): Promise<void>
}

/** Returns Redis as installations of several machines have it: behind Sentinels, where writes wait for the replica, and as a Cluster. */
export function shareRedisNodes(): SharedNodes[] {
  if (isLeftOut('redis nodes')) return []
  return [
    share('redis sentinel', () => startSentinels({ query: '?wait=1' })),
    share('redis cluster', () => startCluster()),
  ]
}

function share(kind: string, start: () => Promise<RedisNodes>): SharedNodes {
  let started: Promise<RedisNodes> | undefined
  const nodes = (): Promise<RedisNodes> => {
    started ??= start()
    return started
  }
  return {
    kind,
    url: async () => (await nodes()).url,
    flush: async () => (await nodes()).flush(),
    stop: async () => (await started)?.[Symbol.asyncDispose](),
  }
}
