import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pLimit from 'p-limit'
import { describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { getToken, QUERY } from '../support/bws.ts'
import { startProcess } from '../support/process.ts'
import { hasProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { deploy, issueAt, type Replica, redeemAt } from '../support/instances.ts'
import { APP, KEY } from '../support/service.ts'

// WORKERS: one command, one port, several processes.

const WORKERS = 2
const VARIABLES = { WORKERS: String(WORKERS) }
const TIMEOUT = 90_000

/** Milliseconds: tests run beside others. */
const SOON = { timeout: 20_000 }

/** Processes that a process has started and that live, as Linux tells. */
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)

const countSockets = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')
    } catch {
      return false
    }
  }).length

const lives = (pid: number): boolean => existsSync(`/proc/${pid}`)

const linesWith = (log: string, event: string): Record<string, unknown>[] =>
  log
    .split('\n')
    .filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)

/** Requests at the same time, and so over connections of their own, which workers take in turn. */
async function askAll(replica: Replica, count = 4 * WORKERS): Promise<number[]> {
  const replies = await Promise.all(Array.from({ length: count }, () => getToken(replica, QUERY)))
  return replies.map(({ status }) => status)
}

const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status)

async function countIssued(replica: Replica): Promise<number> {
  const { body } = await replica.request('/metrics')
  return Number(/^trimint_tokens_issued_total\{contract="bws"\} (\d+)$/m.exec(body)?.[1])
}

describe.skipIf(!existsSync('/proc'))('several workers', { timeout: TIMEOUT }, () => {
  test('serve one port, free or not, and say so in one line with one URL', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    const replica = await deployment.start()
    expect(childrenOf(replica.pid)).toHaveLength(WORKERS)
    const listening = linesWith(replica.log(), 'server.listening')
    expect(listening).toMatchObject([{ url: replica.url, workers: WORKERS, contracts: ['bws', 'idscan', 'nevisfido'] }])
    const instances = () => new Set(linesWith(replica.log(), 'worker.listening').map(({ instance }) => instance))
    await expect.poll(() => instances().size, SOON).toBe(WORKERS)
    const before = childrenOf(replica.pid).map(countSockets)
    expect(await askAll(replica)).toEqual(times(4 * WORKERS, 200))
    for (const [index, child] of childrenOf(replica.pid).entries()) {
      expect(countSockets(child), 'connections that it has').toBeGreaterThan(before[index] ?? 0)
    }
  })

  test('are replicas to each other: the command line sees every one of them', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    await deployment.start()
    const env = { ...process.env, TRIMINT_CONFIG: deployment.file }
    const command = promisify(execFile)(process.execPath, [resolve('src/cli/main.ts'), 'keys', 'list'], { env })
    expect((await command).stdout).toContain(`known to ${WORKERS} of ${WORKERS} running replicas`)
  })

  test('count as one: every scrape is about all of them, and one that has ended stays counted', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    const replica = await deployment.start()
    const count = 5 * WORKERS
    await askAll(replica, count)
    const scrapes = await Promise.all(Array.from({ length: 2 * WORKERS }, () => countIssued(replica)))
    expect(scrapes).toEqual(times(2 * WORKERS, count))
    const [victim = 0] = childrenOf(replica.pid)
    process.kill(victim, 'SIGKILL')
    await expect.poll(() => lives(victim), SOON).toBe(false)
    await expect.poll(() => countIssued(replica).catch(() => 0), SOON).toBe(count)
    await expect.poll(() => linesWith(replica.log(), 'worker.listening').length, SOON).toBe(WORKERS + 1)
    await askAll(replica, count)
    expect(await countIssued(replica)).toBe(2 * count)
    const { body } = await replica.request('/metrics')
    expect(body).toMatch(/^trimint_build_info\{[^}]*\} 1$/m)
  })

  test('count as one at METRICS_PORT as well', async () => {
    await using deployment = await deploy(undefined, {}, { ...VARIABLES, METRICS_PORT: '0' })
    const replica = await deployment.start()
    await askAll(replica, 9)
    const [{ metrics = '' } = {}] = linesWith(replica.log(), 'server.listening') as { metrics?: string }[]
    for (let scrape = 0; scrape < 2 * WORKERS; scrape++) {
      const reply = await fetch(`${metrics}/metrics`, { headers: { connection: 'close' } })
      expect(await reply.text()).toMatch(/^trimint_tokens_issued_total\{contract="bws"\} 9$/m)
    }
    expect((await replica.request('/metrics')).status).toBe(404)
  })

  test('are replaced when they end, and requests go on', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    const replica = await deployment.start()
    const before = childrenOf(replica.pid)
    const [victim = 0] = before
    process.kill(victim, 'SIGKILL')
    await expect.poll(() => lives(victim), SOON).toBe(false)
    await expect.poll(() => linesWith(replica.log(), 'worker.ended').length, SOON).toBe(1)
    expect(linesWith(replica.log(), 'worker.ended')).toMatchObject([{ level: 'error', signal: 'SIGKILL' }])
    // Connections to it are gone; everybody else is served.
    await expect.poll(() => askAll(replica).catch(() => []), SOON).toEqual(times(4 * WORKERS, 200))
    await expect.poll(() => linesWith(replica.log(), 'worker.listening').length, SOON).toBe(WORKERS + 1)
    expect(childrenOf(replica.pid)).toHaveLength(WORKERS)
    expect(await askAll(replica)).toEqual(times(4 * WORKERS, 200))
  })

  test('all put a configuration in force at SIGHUP, and with a faulty file all stay as they are', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    const replica = await deployment.start()
    const good = JSON.parse(readFileSync(deployment.file, 'utf8')) as ConfigurationInput
    const other = { ...APP, secret: 'plain:another secret 5a1c' }
    const asOther = (): Promise<number[]> =>
      Promise.all(
        Array.from({ length: 4 * WORKERS }, async () => {
          const reply = await getToken(replica, QUERY, { as: { id: APP.id, secret: 'another secret 5a1c' } })
          return reply.status
        }),
      )
    expect(await asOther()).toEqual(times(4 * WORKERS, 401))

    writeFileSync(deployment.file, JSON.stringify({ ...good, bws: { apps: [other] } }))
    process.kill(replica.pid, 'SIGHUP')
    await expect.poll(() => linesWith(replica.log(), 'configuration.reloaded').length, SOON).toBe(WORKERS)
    expect(await asOther()).toEqual(times(4 * WORKERS, 200))

    writeFileSync(deployment.file, JSON.stringify({ ...good, publicUrl: 'no url' }))
    process.kill(replica.pid, 'SIGHUP')
    await expect.poll(() => linesWith(replica.log(), 'configuration.refused').length, SOON).toBe(WORKERS)
    expect(new Set(linesWith(replica.log(), 'configuration.refused').map(({ worker }) => worker)).size).toBe(WORKERS)
    expect(await asOther()).toEqual(times(4 * WORKERS, 200))
  })

  test('fail no request at SIGTERM: all drain, finish, and end; so does the whole, with 0', async () => {
    await using deployment = await deploy(undefined, {}, { ...VARIABLES, DRAIN_DELAY: '2s' })
    const replica = await deployment.start()
    const failures: { sent: number; failure: string }[] = []
    let answered = 0
    const isOver = (): boolean => linesWith(replica.log(), 'server.closing').length > 0
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver()) {
        const sent = Date.now()
        const failure = await getToken(replica, QUERY).then(
          ({ status }) => (status === 200 ? undefined : String(status)),
          ({ code, message }: NodeJS.ErrnoException) => code ?? message,
        )
        if (failure === undefined) answered += 1
        else failures.push({ sent, failure })
        await sleep(10)
      }
    })
    await askAll(replica)
    const stopped = replica.stop()
    await Promise.all(callers)
    await stopped
    // What is sent when the port is about to be closed is for somebody else: that is what DRAIN_DELAY is for.
    const [{ time: closing = 0 } = {}] = linesWith(replica.log(), 'server.closing') as { time?: number }[]
    expect(failures.filter(({ sent }) => sent < closing - 20)).toEqual([])
    expect(answered).toBeGreaterThan(20)
    for (const event of ['server.draining', 'server.closing']) {
      expect(linesWith(replica.log(), event)).toMatchObject(Array(WORKERS).fill({ signal: 'SIGTERM' }))
    }
    expect(linesWith(replica.log(), 'worker.ended')).toEqual([])
  })

  test('heed no signal of their own: a terminal, and systemd, send one to every process of a group', async () => {
    await using started = await startProcess({ ...VARIABLES, DRAIN_DELAY: '1s' })
    await started.sees(/server\.listening/)
    const pid = started.child.pid ?? 0
    for (const member of [...childrenOf(pid), pid]) process.kill(member, 'SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(linesWith(started.out(), 'server.closing')).toHaveLength(WORKERS)
  })

  test('are gone at once at a second signal', async () => {
    await using started = await startProcess({ ...VARIABLES, DRAIN_DELAY: '10m', DRAIN_TIMEOUT: '10m' })
    await started.sees(/server\.listening/)
    const workers = childrenOf(started.child.pid ?? 0)
    started.child.kill('SIGTERM')
    await started.sees(/server\.draining/)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(1)
    await expect.poll(() => workers.filter(lives), SOON).toEqual([])
  })

  test('do not outlive their parent, however busy they are', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    const replica = await deployment.start()
    const workers = childrenOf(replica.pid)
    expect(workers).toHaveLength(WORKERS)
    let going = true
    const callers = Array.from({ length: 24 }, async () => {
      while (going) await getToken(replica, QUERY).catch(() => sleep(10))
    })
    await sleep(500)
    process.kill(replica.pid, 'SIGKILL')
    try {
      await expect.poll(() => workers.filter(lives), SOON).toEqual([])
    } finally {
      going = false
      for (const worker of workers.filter(lives)) process.kill(worker, 'SIGKILL')
      await Promise.all(callers)
    }
  })

  test('write whole lines to one log, however long these are', async () => {
    await using deployment = await deploy(undefined, {}, { ...VARIABLES, LOG_LEVEL: 'trace' })
    const replica = await deployment.start()
    // Each makes a line for every parameter at fault.
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`
    const calls = Array.from({ length: 600 }, (_, call) => `caller-${call}-${'x'.repeat(100)}`)
    await pLimit(64).map(calls, (id) =>
      getToken(replica, QUERY, { headers: { 'x-request-id': id, traceparent } }).then(({ status }) => status),
    )
    await expect.poll(() => linesWith(replica.log(), 'token.issued').length, SOON).toBe(calls.length)
    for (const line of replica.log().trimEnd().split('\n')) expect(() => JSON.parse(line), line).not.toThrow()
  })
})

describe.skipIf(!hasProgram('redis-server'))('several workers on one Redis', { timeout: TIMEOUT }, () => {
  test('N24: a token that one has made is redeemed once, whichever are asked', async () => {
    await using redis = await startRedis()
    await using deployment = await deploy(redis.url, {}, VARIABLES)
    await expectRedeemedOnce(await deployment.start())
  })
})

describe('several workers on one SQLite file', { timeout: TIMEOUT }, () => {
  test('N24: a token that one has made is redeemed once, whichever are asked', async () => {
    await using deployment = await deploy(undefined, {}, VARIABLES)
    await expectRedeemedOnce(await deployment.start())
  })
})

async function expectRedeemedOnce(replica: Replica): Promise<void> {
  const limit = pLimit(8)
  const outcomes = await limit.map(
    Array.from({ length: 100 }, (_, index) => index),
    async () => {
      const { token } = await issueAt(replica)
      return Promise.all(Array.from({ length: 6 }, () => redeemAt(replica, token)))
    },
  )
  for (const codes of outcomes) expect(codes.toSorted()).toEqual([1200, 1491, 1491, 1491, 1491, 1491])
}

describe('a start of several workers', { timeout: TIMEOUT }, () => {
  const base: ConfigurationInput = { publicUrl: 'https://tokens.example.com', keys: [{ secret: KEY }], bws: false }
  const startWith = (configuration: unknown) =>
    startProcess({ ...VARIABLES, TRIMINT_CONFIG: 'trimint.yaml' }, (folder) =>
      writeFileSync(join(folder, 'trimint.yaml'), JSON.stringify(configuration)),
    )

  test('with a store in memory is refused: each would have one of its own', async () => {
    await using started = await startWith({ ...base, store: 'sqlite::memory:' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(
      /^trimint cannot start:\n {2}trimint\.yaml:1:\d+ store: each of several WORKERS would have a store of its own; .*\n$/,
    )
  })

  test('says once what keeps all from starting: the file, the store, a port', async () => {
    await using faulty = await startWith({ ...base, publicUrl: 'no url' })
    expect(await faulty.ended()).toBe(1)
    expect(faulty.err()).toMatch(/^trimint cannot start:\n {2}trimint\.yaml:1:\d+ publicUrl: .*\n$/)

    await using closed = await startWith({ ...base, store: 'sqlite:/dev/null/no.db' })
    expect(await closed.ended()).toBe(1)
    expect(closed.err()).toMatch(/^trimint cannot start:\n {2}trimint\.yaml store: cannot be opened: .*\n$/)

    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await using late = await startProcess({ ...VARIABLES, PORT: String((taken.address() as AddressInfo).port) })
    expect(await late.ended()).toBe(1)
    expect(late.err()).toMatch(/^trimint cannot start:\n {2}environment PORT: cannot listen: .*EADDRINUSE.*\n$/)
    taken.close()
  })

  test('prints the demo once', async () => {
    await using started = await startProcess(VARIABLES)
    await started.sees(/Your own configuration/)
    expect(started.err().split('Trimint serves its built-in demo')).toHaveLength(2)
  })
})

describe('WORKERS', () => {
  test('of 1 is one process, as without', async () => {
    await using started = await startProcess({ WORKERS: '1' })
    const [line = ''] = await started.sees(/^.*server\.listening.*$/m)
    expect(JSON.parse(line)).not.toHaveProperty('workers')
    if (existsSync('/proc')) expect(childrenOf(started.child.pid ?? 0)).toEqual([])
  })

  test.each(['0', '65', 'two'])('%s is a fault, said once', async (value) => {
    await using started = await startProcess({ WORKERS: value })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toBe(
      'trimint cannot start:\n  environment WORKERS: is not valid; allowed: auto, or a whole number from 1 to 64\n',
    )
  })
})
