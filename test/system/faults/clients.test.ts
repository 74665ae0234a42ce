import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_CONNECTION_LIMITS } from '../../../src/http/listener.ts'
import { FULL } from '../../support/full.ts'
import { type Deployment, deploy, type InstanceProcess, issueAt, redeemAt } from '../../support/instances.ts'
import { hasProgram } from '../../support/programs.ts'
import { startService } from '../../support/service.ts'
import { watchConnections } from '../../support/traces.ts'

// A client abuses one connection or all of them, and other clients are not affected.

const { maxPendingRequests } = DEFAULT_CONNECTION_LIMITS
const TIMEOUT = 180_000
const PATIENT = { timeout: 120_000, interval: 20 }

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

/** Opens a connection that reads nothing until it is resumed. */
async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').pause()
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

const openSome = (count: number, port: number) => Promise.all(Array.from({ length: count }, () => open(port)))

const portOf = ({ url }: { url: string }): number => Number(new URL(url).port)

async function expectServed(instance: InstanceProcess): Promise<void> {
  const { token } = await issueAt(instance)
  expect(await redeemAt(instance, token)).toBe(1200)
}

/** Finds out by writing whether the server has closed. It ignores empty lines before a request (RFC 9112, 2.2). */
function isGone(socket: Socket): boolean {
  if (!socket.destroyed) socket.write('\r\n')
  return socket.destroyed
}

test.skipIf(!hasProgram('prlimit'))(
  'closes connections beyond the descriptor limit, serves the others, and recovers',
  { timeout: TIMEOUT },
  async () => {
    await using deployment = await deploy()
    const instance = await deployment.startProcess()
    await expectServed(instance)
    const limit = (most: number) => execFileSync('prlimit', ['--pid', String(instance.pid), `--nofile=${most}:`])
    const used = readdirSync(`/proc/${instance.pid}/fd`).length
    limit(used + 20)
    const crowd = await openSome(200, portOf(instance))
    await expect.poll(() => crowd.filter(isGone).length, PATIENT).toBeGreaterThan(150)
    await expectServed(instance)
    process.kill(instance.pid, 'SIGHUP')
    await expectServed(instance)
    for (const socket of crowd) socket.destroy()
    await expect.poll(() => readdirSync(`/proc/${instance.pid}/fd`).length, PATIENT).toBeLessThanOrEqual(used + 2)
    const [late] = await openSome(1, portOf(instance))
    late?.end(request('/healthz'))
    const [answer] = await once(late?.resume() as Socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 /)
    limit(used + 200)
    await instance.reload()
    await expectServed(instance)
    expect(instance.log()).not.toContain('server.failed')
  },
)

/** MiB. */
function memoryOf({ pid }: InstanceProcess): number {
  const [, kibibytes] = /^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kibibytes) / 1024
}

const GREEDY = FULL ? 200 : 8

/** MiB that a client may cost that sends many requests and reads nothing. */
const COST = 20

test.skipIf(process.platform !== 'linux')(
  `closes ${GREEDY} clients that send a thousand requests and never read, at no more than ${COST} MiB each`,
  { timeout: TIMEOUT },
  async () => {
    await using deployment = await deploy()
    const instance = await deployment.startProcess()
    await expectServed(instance)
    const before = memoryOf(instance)
    const crowd = await openSome(GREEDY, portOf(instance))
    for (const socket of crowd) socket.write(request('/docs/openapi.json').repeat(1_000))
    let most = 0
    const isOver = () => {
      most = Math.max(most, memoryOf(instance))
      return crowd.filter(isGone).length
    }
    const closed = expect.poll(isOver, PATIENT).toBe(GREEDY)
    await expectServed(instance)
    await closed
    expect(most - before).toBeLessThan(GREEDY * COST)
    await expectServed(instance)
  },
)

const countDescriptors = ({ pid }: InstanceProcess): number => readdirSync(`/proc/${pid}/fd`).length

const DOCUMENTS = ['/docs/swagger-ui-bundle.js', '/docs/openapi.json', '/docs', '/metrics']

/** MiB that documents may cost that all clients together do not read. Held whole for each request, they cost 1,000. */
const DOCUMENTS_COST = 300

describe.skipIf(process.platform !== 'linux')('documents that no client reads', () => {
  let deployment: Deployment
  let instance: InstanceProcess
  /** MiB, before any document was sent. */
  let before: number
  beforeAll(async () => {
    deployment = await deploy()
    instance = await deployment.startProcess()
    await expectServed(instance)
    before = memoryOf(instance)
  }, TIMEOUT)
  afterAll(() => deployment?.[Symbol.asyncDispose]())

  test.each(DOCUMENTS)(
    'cost neither memory nor descriptors in 6,400 answers to GET %s',
    { timeout: TIMEOUT },
    async (path) => {
      const reply = await instance.request(path)
      expect(reply.status).toBe(200)
      const descriptors = countDescriptors(instance)
      const crowd = await openSome(100, portOf(instance))
      for (const socket of crowd) socket.write(request(path).repeat(maxPendingRequests))
      const worst = { memory: 0, descriptors: 0 }
      for (let look = 0; look < 20; look++) {
        await expectServed(instance)
        worst.memory = Math.max(worst.memory, memoryOf(instance))
        worst.descriptors = Math.max(worst.descriptors, countDescriptors(instance))
        await sleep(50)
      }
      expect(worst.descriptors - descriptors).toBeLessThan(crowd.length + 20)
      expect(worst.memory - before).toBeLessThan(DOCUMENTS_COST)
      for (const socket of crowd) socket.destroy()
      await expect.poll(async () => (await instance.request(path)).status, PATIENT).toBe(200)
      await expect.poll(() => countDescriptors(instance), PATIENT).toBeLessThan(descriptors + 20)
    },
  )
})

test('rejects further readers with 503 while 64 documents are being sent', { timeout: TIMEOUT }, async () => {
  await using service = await startService()
  const path = '/docs/swagger-ui-bundle.js'
  const complete = await service.request(path)
  const crowd = await openSome(64, service.port)
  // More than both ends of a connection buffer.
  for (const socket of crowd) socket.write(request(path).repeat(8))
  await expect.poll(async () => (await service.request(path)).status, PATIENT).toBe(503)
  expect(await service.request(path)).toMatchObject({ headers: { 'retry-after': '1' } })
  expect((await service.request('/healthz')).status).toBe(200)
  for (const socket of crowd) socket.destroy()
  await expect.poll(async () => (await service.request(path)).body === complete.body, PATIENT).toBe(true)
})

test('answers the maximum of pending requests in order', async () => {
  await using service = await startService()
  const [socket] = (await openSome(1, service.port)) as [Socket]
  let answers = ''
  socket.resume().on('data', (chunk) => {
    answers += chunk
  })
  const paths = Array.from({ length: maxPendingRequests }, (_, at) => (at % 2 === 0 ? '/healthz' : '/nothing'))
  for (let round = 1; round <= 3; round++) {
    socket.write(paths.map(request).join(''))
    await expect.poll(() => answers.match(/HTTP\/1.1 /g)?.length).toBe(round * maxPendingRequests)
  }
  const statuses = [...answers.matchAll(/HTTP\/1.1 ([0-9]+)/g)].map(([, status]) => status)
  expect(statuses).toEqual(Array.from({ length: statuses.length }, (_, at) => (at % 2 === 0 ? '200' : '404')))
  socket.destroy()
})

/** The full form waits for the real time-outs. */
const CONNECTION_LIMITS = FULL
  ? {}
  : { idleTimeoutMs: 500, headersTimeoutMs: 500, requestTimeoutMs: 1_000, connectionsCheckingIntervalMs: 100 }

test('closes a client that does not read its answers', { timeout: TIMEOUT }, async () => {
  await using service = await startService({ connectionLimits: CONNECTION_LIMITS })
  const connections = watchConnections(service.port)
  const [socket] = (await openSome(1, service.port)) as [Socket]
  // More than both ends of a connection buffer.
  socket.write(request('/docs/swagger-ui-bundle.js').repeat(maxPendingRequests / 2))
  expect(await service.request('/healthz')).toMatchObject({ status: 200 })
  expect(connections.count()).toBe(2)
  await expect.poll(connections.count, PATIENT).toBeLessThan(2)
  socket.destroy()
  expect(await service.request('/healthz')).toMatchObject({ status: 200 })
})

const DRIBBLERS = [
  { what: 'its headers', head: 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: ', told: 'HTTP/1.1 408' },
  // After the headers there is no reply.
  { what: 'its body', head: 'POST /introspect HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n', told: '' },
]
test.each(DRIBBLERS)(
  'closes clients that send $what one byte at a time',
  { timeout: TIMEOUT },
  async ({ head, told }) => {
    await using service = await startService({ connectionLimits: CONNECTION_LIMITS })
    const crowd = await openSome(50, service.port)
    const answers = crowd.map(async (socket) => {
      socket.write(head)
      const dribble = setInterval(() => socket.write('x'), 50)
      let answer = ''
      socket.resume().on('data', (chunk) => {
        answer += chunk
      })
      // Not once(), which rejects on the reset of a connection that was written to after its end.
      await new Promise((done) => socket.once('close', done))
      clearInterval(dribble)
      return answer.slice(0, told.length)
    })
    await sleep(100)
    expect(await service.request('/healthz')).toMatchObject({ status: 200 })
    expect(new Set(await Promise.all(answers))).toEqual(new Set([told]))
  },
)
