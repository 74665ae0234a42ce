import { describe, expect, test } from 'vitest'
import { CALLER, QUERY } from '../support/bws.ts'
import { type DurableRedis, startDurableRedis } from '../support/durable-redis.ts'
import { FULL } from '../support/full.ts'
import { encodeForm, LOGIN, PATH as LOGIN_PATH } from '../support/idscan.ts'
import { askStatusAt, createAt, deploy, type Instance, type Issued, issueAt, redeemAt } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { hasProgram } from '../support/programs.ts'
import { expectWithin } from '../support/time.ts'

// Every acknowledged write is kept when a process dies directly afterwards.

const ROUNDS = FULL ? 200 : 2
const TIMEOUT = FULL ? 900_000 : 60_000

/** Calls of each kind in progress when something dies: several, so that some are answered and some are not. */
const UNDER_WAY = 24

/** The outcomes that callers saw before it died. */
interface Told {
  readonly created: readonly Issued[]
  readonly redeemed: readonly Issued[]
}

const times = <Result>(count: number, call: () => Promise<Result>) => Array.from({ length: count }, call)

/** Creates and redeems, and kills as soon as one record of each kind is acknowledged. */
async function killAfterAnAnswer(instance: Instance, kill: () => Promise<void>): Promise<Told> {
  const fresh = await Promise.all(times(UNDER_WAY, () => issueAt(instance)))
  const created: Issued[] = []
  const redeemed: Issued[] = []
  let death: Promise<void> | undefined
  const killIfReady = () => {
    if (created.length > 0 && redeemed.length > 0) death ??= kill()
  }
  const redemptions = fresh.map(async (issued) => {
    const code = await redeemAt(instance, issued.token)
    if (code === 1200) redeemed.push(issued)
    killIfReady()
  })
  const creations = times(UNDER_WAY, async () => {
    created.push(await issueAt(instance))
    killIfReady()
  })
  await Promise.allSettled([...redemptions, ...creations])
  await death
  return { created, redeemed }
}

async function expectKept(instance: Instance, { created, redeemed }: Told): Promise<void> {
  const replies = await Promise.all(created.map(({ sessionId }) => askStatusAt(instance, sessionId)))
  const statuses = replies.map(({ body }) => (JSON.parse(body) as { status: string }).status)
  expect(statuses).toEqual(created.map(() => 'tokenCreated'))
  const codesOf = (tokens: readonly Issued[]) => Promise.all(tokens.map(({ token }) => redeemAt(instance, token)))
  expect(await codesOf(created)).toEqual(created.map(() => 1200))
  expect(await codesOf(redeemed)).toEqual(redeemed.map(() => 1491))
}

/** Waits until the process has reconnected to Redis. Calls of different kinds use connections of their own. */
async function expectReconnected(instance: Instance): Promise<void> {
  const useAll = async () => {
    const { token, sessionId } = await issueAt(instance)
    return [(await askStatusAt(instance, sessionId)).status, await redeemAt(instance, token)]
  }
  await expect.poll(() => useAll().catch(String)).toEqual([200, 1200])
}

const NOTHING: Told = { created: [], redeemed: [] }

test(`N24: SQLite keeps every answered record when ${ROUNDS} processes are killed`, {
  timeout: TIMEOUT,
}, async () => {
  await using deployment = await deploy()
  let told = NOTHING
  for (let round = 0; round < ROUNDS; round++) {
    const instance = await deployment.startProcess()
    await expectKept(instance, told)
    told = await killAfterAnAnswer(instance, () => instance.kill())
  }
  await expectKept(await deployment.startProcess(), told)
})

describe.skipIf(!hasProgram('redis-server'))('with Redis', () => {
  test(`N24: Redis keeps every answered record when it is killed ${ROUNDS} times`, { timeout: TIMEOUT }, async () => {
    await using redis = await startDurableRedis()
    await using deployment = await deploy(redis.url)
    const instance = await deployment.start()
    for (let round = 0; round < ROUNDS; round++) {
      const told = await killAfterAnAnswer(instance, () => redis.kill())
      await redis.start()
      await expectReconnected(instance)
      await expectKept(instance, told)
    }
  })

  const ABSENCES = [
    {
      absence: 'dead',
      leave: (redis: DurableRedis) => redis.kill(),
      comeBack: (redis: DurableRedis) => redis.start(),
    },
    {
      absence: 'frozen',
      leave: (redis: DurableRedis) => redis.freeze(),
      comeBack: (redis: DurableRedis) => redis.thaw(),
    },
  ]
  test.each(ABSENCES)(
    'N13, N26: while Redis is $absence, calls that need it fail within a second, others succeed',
    async ({ leave, comeBack }) => {
      await using redis = await startDurableRedis()
      await using deployment = await deploy(redis.url)
      const instance = await deployment.start()
      const { sessionId } = await issueAt(instance)
      await leave(redis)

      const created = createAt(instance)
      await expectWithin(1_000, created)
      expect(await created).toMatchObject({ status: 200, body: '{"statusCode":1500}' })
      const asked = askStatusAt(instance, sessionId)
      await expectWithin(1_000, asked)
      expect(await asked).toMatchObject({ status: 503 })

      const token = await instance.request(`/token?${QUERY}`, { as: CALLER })
      expect(token).toMatchObject({ status: 200, body: expect.stringMatching(/^eyJ/) })
      trackSecret(token.body)
      const login = await instance.request(LOGIN_PATH, {
        method: 'POST',
        body: encodeForm(LOGIN),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      expect(login.status).toBe(200)
      trackSecret((JSON.parse(login.body) as { access_token: string }).access_token)

      await comeBack(redis)
      await expectReconnected(instance)
    },
  )
})
