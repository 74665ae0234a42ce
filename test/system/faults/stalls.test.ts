import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { CALLER, QUERY } from '../../support/bws.ts'
import { startDurableRedis } from '../../support/durable-redis.ts'
import { deploy, type InstanceProcess, issueAt, redeemAt } from '../../support/instances.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'

// Trimint or its store stands still for a moment while 64 connections are busy. Every request gets the right answer,
// only later.

const CONNECTIONS = 64
const TIMEOUT_MS = 120_000

/** A call of a store may wait so long before Trimint sheds load (docs/reliability.md). */
const BEARABLE_MS = 600

interface Load {
  /** Answers other than the right one. */
  readonly wrong: readonly string[]
  answers(): number
  /** Returns the longest wait for an answer since the last call. */
  longestWaitMs(): number
  stop(): Promise<void>
}

function startLoad(instance: InstanceProcess): Load {
  const wrong: string[] = []
  let answers = 0
  let longestMs = 0
  let isStopped = false

  async function timed<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    const begin = performance.now()
    try {
      return await call()
    } finally {
      answers += 1
      longestMs = Math.max(longestMs, performance.now() - begin)
    }
  }

  async function useFido(): Promise<void> {
    const { token } = await timed(() => issueAt(instance))
    trackSecret(token)
    const code = await timed(() => redeemAt(instance, token))
    if (code !== 1200) throw new Error(`redeemed with ${code}`)
  }

  async function useBws(): Promise<void> {
    const issued = await timed(() => instance.request(`/token?${QUERY}&task=verify&maxtries=1`, { as: CALLER }))
    if (issued.status !== 200) throw new Error(`issued with ${issued.status}`)
    trackSecret(issued.body)
    const headers = { authorization: `Bearer ${issued.body}` }
    const { status } = await timed(() => instance.request('/authz/bws/verify', { headers }))
    if (status !== 200) throw new Error(`checked with ${status}`)
  }

  async function call(use: () => Promise<void>): Promise<void> {
    while (!isStopped) await use().catch(({ message }: Error) => wrong.push(message))
  }

  const calls = Array.from({ length: CONNECTIONS }, (_, at) => call(at % 4 === 0 ? useBws : useFido))
  return {
    wrong,
    answers: () => answers,
    longestWaitMs() {
      const longest = longestMs
      longestMs = 0
      return longest
    },
    async stop() {
      isStopped = true
      await Promise.all(calls)
    },
  }
}

interface Stall {
  begin(): void
  end(): void
  readonly lengthMs: number
  /** Returns how long a request may have waited where the stall alone has delayed it. */
  bearableMs(lengthMs: number): number
}

/**
 * Expects right answers through a stall. Where the machine was too busy to end the stall in time, the stall is repeated:
 * a longer one may be answered with 1500.
 */
async function expectRightAnswers(instance: InstanceProcess, stall: Stall): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const load = startLoad(instance)
    await expect.poll(load.answers, { timeout: 20_000 }).toBeGreaterThan(3 * CONNECTIONS)
    load.longestWaitMs()
    stall.begin()
    const begin = performance.now()
    await sleep(stall.lengthMs)
    stall.end()
    const lengthMs = performance.now() - begin
    const before = load.answers()
    await expect.poll(load.answers, { timeout: 20_000 }).toBeGreaterThan(before + 3 * CONNECTIONS)
    await load.stop()
    const longestMs = load.longestWaitMs()
    expect(longestMs, 'the stall is longer than usual waits').toBeGreaterThan(stall.lengthMs * 0.9)
    if (longestMs > stall.bearableMs(lengthMs) && attempt < 5) continue
    expect(load.wrong).toEqual([])
    return
  }
}

const ofProcess = ({ pid }: InstanceProcess): Stall => ({
  begin: () => process.kill(pid, 'SIGSTOP'),
  end: () => process.kill(pid, 'SIGCONT'),
  lengthMs: 1_000,
  bearableMs: (lengthMs) => lengthMs + BEARABLE_MS,
})

describe('under a load of 64 connections', () => {
  test('N13: a pause of the process for a second fails no request on SQLite', { timeout: TIMEOUT_MS }, async () => {
    await using deployment = await deploy()
    const instance = await deployment.startProcess()
    await expectRightAnswers(instance, ofProcess(instance))
  })

  test.skipIf(!hasProgram('redis-server'))(
    'N13: a pause of the process for a second, and one of Redis for 0.4 s, fail no request',
    { timeout: TIMEOUT_MS },
    async () => {
      await using redis = await startDurableRedis(undefined, ['--appendonly', 'no'])
      await using deployment = await deploy(redis.url)
      const instance = await deployment.startProcess()
      await expectRightAnswers(instance, ofProcess(instance))
      const { freeze: begin, thaw: end } = redis
      await expectRightAnswers(instance, { begin, end, lengthMs: 400, bearableMs: () => BEARABLE_MS })
    },
  )

  test.skipIf(!hasPostgres())(
    'N13: a pause of the process for a second fails no request on PostgreSQL',
    { timeout: TIMEOUT_MS },
    async () => {
      await using postgres = await startPostgres()
      await using deployment = await deploy(await postgres.createDatabase())
      const instance = await deployment.startProcess()
      await expectRightAnswers(instance, ofProcess(instance))
    },
  )
})
