import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readEnvironment } from '../../src/config/environment.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { BCID, getToken, QUERY } from '../support/bws.ts'
import { runTrimint } from '../support/command.ts'
import { FULL } from '../support/full.ts'
import { type Deployment, deploy, type InstanceProcess, issueAt, redeemAt } from '../support/instances.ts'
import { startProcess } from '../support/process.ts'
import { hasProgram } from '../support/programs.ts'
import { type StartedRedis, startRedis } from '../support/redis.ts'
import { APP, KEY } from '../support/service.ts'

// WORKERS: one command, one port, several processes.

const WORKERS = 2
const VARIABLES = { WORKERS: String(WORKERS) }
const TIMEOUT = 180_000

/** Starts that the short run leaves out, because each of its processes costs more than a second. */
const testInFull = test.skipIf(!FULL)

/** Other tests keep the machine busy. */
const PATIENT = { timeout: 60_000 }

/** Returns the running children of a process. */
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

const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`)

const linesWith = (log: string, event: string): Record<string, unknown>[] =>
  log
    .split('\n')
    .filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)

/** Sends requests in parallel, each on its own connection, so that every worker gets some. */
async function askAll(instance: InstanceProcess, count = 4 * WORKERS): Promise<number[]> {
  const replies = await Promise.all(Array.from({ length: count }, () => getToken(instance, QUERY)))
  return replies.map(({ status }) => status)
}

const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status)

const issuedIn = (metrics: string): number =>
  Number(/^trimint_tokens_issued_total\{contract="bws"\} (\d+)$/m.exec(metrics)?.[1] ?? 0)

const countIssued = async (instance: InstanceProcess): Promise<number> =>
  issuedIn((await instance.request('/metrics')).body)

async function expectRedeemedOnce(instance: InstanceProcess): Promise<void> {
  const outcomes = await pLimit(8).map(Array.from({ length: 100 }), async () => {
    const { token } = await issueAt(instance)
    return Promise.all(Array.from({ length: 6 }, () => redeemAt(instance, token)))
  })
  for (const codes of outcomes) expect(codes.toSorted()).toEqual([1200, 1491, 1491, 1491, 1491, 1491])
}

describe.skipIf(!existsSync('/proc'))('several workers on one SQLite file', { timeout: TIMEOUT }, () => {
  let deployment: Deployment
  let instance: InstanceProcess
  beforeAll(async () => {
    deployment = await deploy(undefined, {}, VARIABLES)
    instance = await deployment.startProcess()
  }, TIMEOUT)
  afterAll(() => deployment?.[Symbol.asyncDispose]())

  test('share one port and log one start with one URL', async () => {
    expect(childrenOf(instance.pid)).toHaveLength(WORKERS)
    const listening = linesWith(instance.log(), 'server.listening')
    expect(listening).toMatchObject([
      { url: instance.url, workers: WORKERS, contracts: ['bws', 'idscan', 'nevisfido'] },
    ])
    const instances = () => new Set(linesWith(instance.log(), 'worker.listening').map((line) => line.instance))
    await expect.poll(() => instances().size, PATIENT).toBe(WORKERS)
    const before = childrenOf(instance.pid).map(countSockets)
    expect(await askAll(instance)).toEqual(times(4 * WORKERS, 200))
    for (const [index, child] of childrenOf(instance.pid).entries()) {
      expect(countSockets(child), 'connections of this worker').toBeGreaterThan(before[index] ?? 0)
    }
  })

  test('appear as separate replicas in `trimint keys list`', async () => {
    const { out } = await runTrimint('keys list', {
      variables: { TRIMINT_CONFIG: deployment.file },
      clock: Date.now,
    })
    expect(out).toContain(`known to ${WORKERS} of ${WORKERS} running replicas`)
  })

  test('N24: redeem a token exactly once, whichever of them issued it', () => expectRedeemedOnce(instance))

  test('write whole lines to one log, however long the lines are', async () => {
    const countLines = () =>
      instance.log().match(/"event":"token.issued".*"requestId":"caller-|"requestId":"caller-.*"event":"token.issued"/g)
        ?.length
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`
    const calls = Array.from({ length: FULL ? 600 : 150 }, (_, call) => `caller-${call}-${'x'.repeat(100)}`)
    await pLimit(64).map(calls, (id) =>
      getToken(instance, QUERY, { headers: { 'x-request-id': id, traceparent } }).then(({ status }) => status),
    )
    await expect.poll(countLines, PATIENT).toBe(calls.length)
    for (const line of instance.log().trimEnd().split('\n')) expect(() => JSON.parse(line), line).not.toThrow()
  })

  test('all apply a new configuration on SIGHUP, and all keep the old one if the file is faulty', async () => {
    const good = JSON.parse(readFileSync(deployment.file, 'utf8')) as ConfigurationInput
    const second = { ...APP, id: 'app-2', secret: 'plain:another secret 5a1c' }
    const asSecond = (): Promise<number[]> =>
      Promise.all(
        Array.from({ length: 4 * WORKERS }, async () => {
          const as = { id: second.id, secret: 'another secret 5a1c' }
          return (await getToken(instance, `id=${second.id}&bcid=${BCID}`, { as })).status
        }),
      )
    expect(await asSecond()).toEqual(times(4 * WORKERS, 401))

    writeFileSync(deployment.file, JSON.stringify({ ...good, bws: { apps: [APP, second] } }))
    process.kill(instance.pid, 'SIGHUP')
    await expect.poll(() => linesWith(instance.log(), 'configuration.reloaded').length, PATIENT).toBe(WORKERS)
    expect(await asSecond()).toEqual(times(4 * WORKERS, 200))

    writeFileSync(deployment.file, JSON.stringify({ ...good, publicUrl: 'no url' }))
    process.kill(instance.pid, 'SIGHUP')
    await expect.poll(() => linesWith(instance.log(), 'configuration.refused').length, PATIENT).toBe(WORKERS)
    expect(new Set(linesWith(instance.log(), 'configuration.refused').map(({ worker }) => worker)).size).toBe(WORKERS)
    expect(await asSecond()).toEqual(times(4 * WORKERS, 200))
    writeFileSync(deployment.file, JSON.stringify(good))
  })

  test('are replaced when they end; `/metrics` sums all workers, including those that have ended', async () => {
    // Older metrics than this test's are still served for up to two seconds.
    await sleep(2_500)
    const before = await countIssued(instance)
    const count = 5 * WORKERS
    await askAll(instance, count)
    const scrape = () => Promise.all(Array.from({ length: 2 * WORKERS }, () => countIssued(instance)))
    await expect.poll(scrape, PATIENT).toEqual(times(2 * WORKERS, before + count))

    const [victim = 0] = childrenOf(instance.pid)
    process.kill(victim, 'SIGKILL')
    await expect.poll(() => isRunning(victim), PATIENT).toBe(false)
    await expect.poll(() => linesWith(instance.log(), 'worker.ended').length, PATIENT).toBe(1)
    expect(linesWith(instance.log(), 'worker.ended')).toMatchObject([{ level: 'error', signal: 'SIGKILL' }])
    // Connections to the killed worker are lost; all others are served.
    await expect.poll(() => countIssued(instance).catch(() => 0), PATIENT).toBe(before + count)

    await expect.poll(() => linesWith(instance.log(), 'worker.listening').length, PATIENT).toBe(WORKERS + 1)
    expect(childrenOf(instance.pid)).toHaveLength(WORKERS)
    expect(await askAll(instance, count)).toEqual(times(count, 200))
    await expect.poll(() => countIssued(instance), PATIENT).toBe(before + 2 * count)
    expect((await instance.request('/metrics')).body).toMatch(/^trimint_build_info\{[^}]*\} 1$/m)
  })

  test('render `/metrics` at most once a second together, and keep serving while clients pipeline scrapes', async () => {
    const { hostname, port } = new URL(instance.url)
    const crowd = Array.from({ length: 20 }, () => connect(Number(port), hostname))
    const received = new Map<Socket, string>()
    for (const socket of crowd) {
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => received.set(socket, `${received.get(socket) ?? ''}${chunk}`))
      socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(30))
    }
    const started = performance.now()
    const linesLike = (pattern: RegExp) => [...received.values()].flatMap((text) => text.match(pattern) ?? [])
    await expect.poll(() => linesLike(/^HTTP\/1.1 200/gm).length, PATIENT).toBe(20 * 30)
    const seconds = (performance.now() - started) / 1000
    // It differs between any two renderings.
    const renderings = new Set(linesLike(/^process_cpu_seconds_total .*$/gm))
    expect(renderings.size).toBeGreaterThan(0)
    expect(renderings.size).toBeLessThanOrEqual(2 + seconds)
    expect(await askAll(instance)).toEqual(times(4 * WORKERS, 200))
    for (const socket of crowd) socket.destroy()
  })

  test('do not outlive their primary, however busy they are', async () => {
    const workers = childrenOf(instance.pid)
    expect(workers).toHaveLength(WORKERS)
    let isGoing = true
    let answered = 0
    const callers = Array.from({ length: 24 }, async () => {
      while (isGoing) {
        try {
          await getToken(instance, QUERY)
          answered += 1
        } catch {
          await sleep(10)
        }
      }
    })
    await expect.poll(() => answered, PATIENT).toBeGreaterThan(100)
    process.kill(instance.pid, 'SIGKILL')
    try {
      await expect.poll(() => workers.filter(isRunning), PATIENT).toEqual([])
    } finally {
      isGoing = false
      for (const worker of workers.filter(isRunning)) process.kill(worker, 'SIGKILL')
      await Promise.all(callers)
    }
  })
})

describe.skipIf(!existsSync('/proc'))('several workers with METRICS_PORT', { timeout: TIMEOUT }, () => {
  let redis: StartedRedis | undefined
  let deployment: Deployment
  let instance: InstanceProcess
  beforeAll(async () => {
    redis = hasProgram('redis-server') ? await startRedis() : undefined
    deployment = await deploy(redis?.url, {}, { ...VARIABLES, METRICS_PORT: '0', DRAIN_DELAY: '2s' })
    instance = await deployment.startProcess()
  }, TIMEOUT)
  afterAll(async () => {
    await deployment?.[Symbol.asyncDispose]()
    await redis?.stop()
  })

  test.skipIf(!hasProgram('redis-server'))(
    'N24: on one Redis, redeem a token exactly once, whichever of them issued it',
    () => expectRedeemedOnce(instance),
  )

  test('serve the sum of all workers there; on SIGTERM all drain without failing a request, and all exit with 0', async () => {
    await askAll(instance, 9)
    const [{ metrics = '' } = {}] = linesWith(instance.log(), 'server.listening') as { metrics?: string }[]
    const scrape = async () => {
      const reply = await fetch(`${metrics}/metrics`, { headers: { connection: 'close' } })
      return issuedIn(await reply.text())
    }
    const scrapeAll = () => Promise.all(Array.from({ length: 2 * WORKERS }, scrape))
    await expect.poll(scrapeAll, PATIENT).toEqual(times(2 * WORKERS, 9))
    expect((await instance.request('/metrics')).status).toBe(404)

    const failures: { sent: number; failure: string }[] = []
    let answered = 0
    const isOver = (): boolean => linesWith(instance.log(), 'server.closing').length > 0
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver()) {
        const sent = Date.now()
        const failure = await getToken(instance, QUERY).then(
          ({ status }) => (status === 200 ? undefined : String(status)),
          ({ code, message }: NodeJS.ErrnoException) => code ?? message,
        )
        if (failure === undefined) answered += 1
        else failures.push({ sent, failure })
        await sleep(10)
      }
    })
    await askAll(instance)
    const stopped = instance.stop()
    await Promise.all(callers)
    await stopped
    // A request sent shortly before the port closes may arrive after that; on a busy machine, a second is short.
    const [{ time: closing = 0 } = {}] = linesWith(instance.log(), 'server.closing') as { time?: number }[]
    expect(failures.filter(({ sent }) => sent < closing - 1_000)).toEqual([])
    expect(answered).toBeGreaterThan(20)
    for (const event of ['server.draining', 'server.closing']) {
      expect(linesWith(instance.log(), event)).toMatchObject(Array(WORKERS).fill({ signal: 'SIGTERM' }))
    }
    expect(linesWith(instance.log(), 'worker.ended')).toEqual([])
  })
})

describe('several workers of the demo', { timeout: TIMEOUT }, () => {
  test.skipIf(!existsSync('/proc'))(
    'print the banner once and drain once when every process gets the signal',
    async () => {
      await using started = await startProcess({ ...VARIABLES, DRAIN_DELAY: '500ms' })
      await started.sees(/server\.listening/)
      await started.sees(/Your own configuration/)
      expect(started.err().split('Trimint serves its built-in demo')).toHaveLength(2)
      const pid = started.child.pid ?? 0
      // Terminals and systemd signal every process of a group.
      for (const member of [...childrenOf(pid), pid]) process.kill(member, 'SIGTERM')
      expect(await started.ended()).toBe(0)
      expect(linesWith(started.out(), 'server.closing')).toHaveLength(WORKERS)
    },
  )

  test.skipIf(!FULL || !existsSync('/proc'))('all end at once on a second signal', async () => {
    await using started = await startProcess({ ...VARIABLES, DRAIN_DELAY: '10m', DRAIN_TIMEOUT: '10m' })
    await started.sees(/server\.listening/)
    const workers = childrenOf(started.child.pid ?? 0)
    started.child.kill('SIGTERM')
    await started.sees(/server\.draining/)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(1)
    await expect.poll(() => workers.filter(isRunning), PATIENT).toEqual([])
  })
})

describe('a start of several workers', { timeout: TIMEOUT }, () => {
  const base: ConfigurationInput = { publicUrl: 'https://tokens.example.com', keys: [{ secret: KEY }], bws: false }
  const startWith = (configuration: unknown) =>
    startProcess({ ...VARIABLES, TRIMINT_CONFIG: 'trimint.yaml' }, (folder) =>
      writeFileSync(join(folder, 'trimint.yaml'), JSON.stringify(configuration)),
    )

  const FAULTS = [
    {
      fault: 'a store in memory, which each worker would have for itself',
      change: { store: 'sqlite::memory:' },
      message: /trimint\.yaml:1:\d+ store: .*WORKERS.*/,
    },
    { fault: 'a faulty file', change: { publicUrl: 'no url' }, message: /trimint\.yaml:1:\d+ publicUrl: .*/ },
    {
      fault: 'a store that cannot be opened',
      change: { store: 'sqlite:/dev/null/no.db' },
      message: /trimint\.yaml:1:\d+ store: .*/,
    },
  ]
  test.each(FULL ? FAULTS : FAULTS.slice(0, 1))('reports $fault once and exits with 1', async ({ change, message }) => {
    await using started = await startWith({ ...base, ...change })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(new RegExp(`^trimint cannot start:\\n {2}${message.source}\\n$`))
  })

  test('reports a port in use once and exits with 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await using started = await startProcess({ ...VARIABLES, PORT: String((taken.address() as AddressInfo).port) })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment PORT: cannot listen: .*EADDRINUSE.*\n$/)
    taken.close()
  })
})

describe('WORKERS', () => {
  test('starts one process for WORKERS=1, as by default', async () => {
    await using started = await startProcess({ WORKERS: '1' })
    const [line = ''] = await started.sees(/^.*server\.listening.*$/m)
    expect(JSON.parse(line)).not.toHaveProperty('workers')
    if (existsSync('/proc')) expect(childrenOf(started.child.pid ?? 0)).toEqual([])
  })

  const REJECTED = { path: 'WORKERS', message: 'invalid value; expected auto, or a whole number from 1 to 64' }

  testInFull('rejects WORKERS=65 in one line', async () => {
    await using started = await startProcess({ WORKERS: '65' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment WORKERS: .*a whole number from 1 to 64.*\n$/)
  })

  test.each(['0', '65', 'two', '-1', '1.5'])('reports WORKERS=%s as a configuration issue', (value) => {
    expect(readEnvironment({ WORKERS: value }).issues).toMatchObject([REJECTED])
  })
})
