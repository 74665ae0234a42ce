import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CALLER, QUERY } from '../support/bws.ts'
import { type DurableRedis, startDurableRedis } from '../support/durable-redis.ts'
import { FULL } from '../support/full.ts'
import { encodeForm, LOGIN, PATH as LOGIN_PATH } from '../support/idscan.ts'
import { type Deployment, deploy, GATEWAY, type Instance, startInstances } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { hasProgram } from '../support/programs.ts'
import type { Reply } from '../support/service.ts'

// Tries and revocations hold in every process that a gateway calls.

const INSTANCES = 3
const TIMEOUT = 60_000

/** A revocation takes effect everywhere within this time; so does the loss of the store. */
const PROMISED_MS = 1_000

/** Time for a signal to stop Redis. */
const SIGNAL_MARGIN_MS = 100

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

async function issueBws(instance: Instance, query = 'task=verify&maxtries=15'): Promise<string> {
  const { status, body } = await instance.request(`/token?${QUERY}&${query}`, { as: CALLER })
  if (status !== 200) throw new Error(`no token was issued: ${status} ${body}`)
  trackSecret(body)
  return body
}

async function issueIdscan(instance: Instance): Promise<string> {
  const { status, body } = await instance.request(LOGIN_PATH, {
    method: 'POST',
    body: encodeForm(LOGIN),
    headers: FORM,
  })
  if (status !== 200) throw new Error(`login failed: ${status} ${body}`)
  const { access_token: token } = JSON.parse(body) as { access_token: string }
  trackSecret(token)
  return token
}

const check = (instance: Instance, path: string, token: string): Promise<Reply> =>
  instance.request(`/authz/${path}`, { headers: { authorization: `Bearer ${token}` } })

const statusOf = async (instance: Instance, path: string, token: string): Promise<number> =>
  (await check(instance, path, token)).status

const revoke = (instance: Instance, token: string): Promise<Reply> =>
  instance.request('/revoke', { method: 'POST', body: encodeForm({ token }), headers: FORM, as: GATEWAY })

async function introspect(
  instance: Instance,
  token: string,
): Promise<{ active: boolean; triesLeft: number | undefined }> {
  const { body } = await instance.request('/introspect', {
    method: 'POST',
    body: encodeForm({ token }),
    headers: FORM,
    as: GATEWAY,
  })
  const { active, trimint } = JSON.parse(body) as { active: boolean; trimint?: { triesLeft?: number } }
  return { active, triesLeft: trimint?.triesLeft }
}

function tally<Value extends string | number>(values: readonly Value[]): Partial<Record<Value, number>> {
  const counts: Partial<Record<Value, number>> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

const STORES = [
  { store: 'an SQLite file', needsRedis: false },
  { store: 'a Redis', needsRedis: true },
]

describe.each(STORES)(`${INSTANCES} instances on $store`, ({ store, needsRedis }) => {
  describe.skipIf(needsRedis && !hasProgram('redis-server'))('shared state', () => {
    let redis: DurableRedis | undefined
    let deployment: Deployment
    let instances: Instance[]
    const instanceFor = (call: number) => instances[call % instances.length] as Instance

    beforeAll(async () => {
      redis = needsRedis ? await startDurableRedis() : undefined
      deployment = await deploy(redis?.url)
      instances = await startInstances(deployment, INSTANCES)
    }, TIMEOUT)
    afterAll(async () => {
      await deployment[Symbol.asyncDispose]()
      await redis?.[Symbol.asyncDispose]()
    })

    test(`B35: on ${store} exactly 15 of 200 parallel checks of a 15-try token pass, spread over all instances`, async () => {
      for (let round = 0; round < (FULL ? 3 : 1); round++) {
        const token = await issueBws(instanceFor(round))
        const replies = await Promise.all(
          Array.from({ length: 200 }, (_, call) => check(instanceFor(call), 'bws/verify', token)),
        )
        expect(tally(replies.map(({ status }) => status))).toEqual({ 200: 15, 403: 185 })
        const passed = replies.filter(({ status }) => status === 200)
        const left = passed.map(({ headers }) => Number(headers['x-trimint-tries-left']))
        expect(
          left.toSorted((a, b) => a - b),
          'each was told another number',
        ).toEqual(Array.from({ length: 15 }, (_, at) => at))
        const refusals = replies.filter(({ status }) => status === 403).map(({ body }) => body)
        expect(tally(refusals)).toEqual({ '{"Message":"The tries of the token are used up."}': 185 })
        for (const instance of instances) {
          expect(await statusOf(instance, 'bws/verify', token)).toBe(403)
          expect(await statusOf(instance, 'bws/upload', token), 'uploading takes no try').toBe(200)
          expect(await introspect(instance, token)).toEqual({ active: false, triesLeft: undefined })
        }
      }
    })

    test(`B35: on ${store} checks of other tasks and areas consume no try`, async () => {
      const token = await issueBws(instanceFor(0), 'task=verify&maxtries=2')
      const free = await Promise.all(
        Array.from({ length: 60 }, (_, call) => {
          const path = ['bws/upload', 'bws/enroll', 'idscan/scanning'][Math.floor(call / INSTANCES) % 3] ?? ''
          return statusOf(instanceFor(call), path, token)
        }),
      )
      expect(tally(free)).toEqual({ 200: 21, 401: 18, 403: 21 })
      for (const instance of instances)
        expect(await introspect(instance, token)).toEqual({ active: true, triesLeft: 2 })
      expect(await statusOf(instanceFor(1), 'bws/verify', token)).toBe(200)
      for (const instance of instances)
        expect(await introspect(instance, token)).toEqual({ active: true, triesLeft: 1 })
      expect(await statusOf(instanceFor(2), 'bws/verify', token)).toBe(200)
      expect(await statusOf(instanceFor(0), 'bws/verify', token)).toBe(403)
    })

    test(`B34, I30: on ${store} the revoking instance rejects a token at once, all others within a second`, {
      timeout: TIMEOUT,
    }, async () => {
      const rounds = Array.from({ length: FULL ? 24 : 9 }, async (_, round) => {
        const path = ['bws/upload', 'bws/verify', 'idscan/scanning'][round % 3] ?? ''
        const revoking = instanceFor(Math.floor(round / 3))
        const others = instances.filter((instance) => instance !== revoking)
        const token = await (path.startsWith('idscan') ? issueIdscan(revoking) : issueBws(revoking))
        const kept = await (path.startsWith('idscan') ? issueIdscan(revoking) : issueBws(revoking))
        // Spreads the rounds over the intervals at which processes read revocations.
        await sleep(round * (FULL ? 70 : 110))
        for (const instance of instances) expect(await statusOf(instance, path, token)).toBe(200)
        expect(await revoke(revoking, token)).toMatchObject({ status: 200, body: '' })
        const answered = performance.now()
        expect(await statusOf(revoking, path, token)).toBe(401)
        await sleep(Math.max(0, PROMISED_MS - (performance.now() - answered)))
        const replies = await Promise.all(others.map((instance) => statusOf(instance, path, token)))
        expect(replies).toEqual([401, 401])
        for (const instance of instances) {
          expect(await introspect(instance, token)).toMatchObject({ active: false })
          expect(await statusOf(instance, path, kept), 'the other token of the same holder').toBe(200)
        }
      })
      await Promise.all(rounds)
    })

    test(`B34: on ${store} an instance that starts later knows earlier revocations and used tries`, async () => {
      const [revoked, used, kept] = await Promise.all([
        issueBws(instanceFor(0)),
        issueBws(instanceFor(1), 'task=verify&maxtries=1'),
        issueBws(instanceFor(2)),
      ])
      expect((await revoke(instanceFor(1), revoked)).status).toBe(200)
      expect(await statusOf(instanceFor(2), 'bws/verify', used)).toBe(200)
      const late = await deployment.start()
      expect(await statusOf(late, 'bws/upload', revoked)).toBe(401)
      expect(await statusOf(late, 'bws/verify', used)).toBe(403)
      expect(await statusOf(late, 'bws/verify', kept)).toBe(200)
      await late.stop()
    })
  })
})

const ABSENCES = [
  {
    absence: 'dead',
    leave: (redis: DurableRedis) => redis.kill(),
    comeBack: (redis: DurableRedis) => redis.start(),
  },
  {
    absence: 'frozen',
    leave: async (redis: DurableRedis) => redis.freeze(),
    comeBack: async (redis: DurableRedis) => redis.thaw(),
  },
]

describe.skipIf(!hasProgram('redis-server'))('instances whose Redis goes away', () => {
  test.each(ABSENCES)(
    '$absence: answer every check with 503 after a second, keep issuing, and recover once it is back',
    {
      timeout: TIMEOUT,
    },
    async ({ leave, comeBack }) => {
      await using redis = await startDurableRedis()
      await using deployment = await deploy(redis.url)
      const instances = await Promise.all([deployment.start(), deployment.start()])
      const [first, second] = instances
      const [bws, revoked, single, idscan] = await Promise.all([
        issueBws(first),
        issueBws(first),
        issueBws(first, 'task=verify&maxtries=1'),
        issueIdscan(second),
      ])
      const CHECKS: [string, string][] = [
        ['bws/upload', bws],
        ['bws/verify', bws],
        ['idscan/scanning', idscan],
      ]
      for (const instance of instances) {
        for (const [path, token] of CHECKS) expect(await statusOf(instance, path, token)).toBe(200)
      }
      expect((await revoke(first, revoked)).status).toBe(200)
      expect(await statusOf(second, 'bws/verify', single)).toBe(200)

      await leave(redis)
      await sleep(PROMISED_MS + SIGNAL_MARGIN_MS)
      for (const instance of instances) {
        for (const [path, token] of [...CHECKS, ['bws/upload', revoked] as const]) {
          const { status, headers, body } = await check(instance, path, token)
          expect({ path, status }).toEqual({ path, status: 503 })
          expect(headers['retry-after']).toBe('1')
          expect(body).toBe('{"Message":"Temporarily unavailable. Try again later."}')
        }
        expect(await revoke(instance, bws)).toMatchObject({
          status: 503,
          body: expect.stringContaining('"error":"temporarily_unavailable"'),
        })
        expect(
          await check(instance, 'bws/upload', `${bws}x`),
          'rejects an invalid token without the store',
        ).toMatchObject({
          status: 401,
        })
      }
      const [newBws, newIdscan] = await Promise.all([issueBws(first), issueIdscan(second)])

      await comeBack(redis)
      for (const instance of instances) {
        await expect.poll(() => statusOf(instance, 'bws/upload', newBws)).toBe(200)
        await expect.poll(() => statusOf(instance, 'idscan/scanning', newIdscan)).toBe(200)
        expect(await statusOf(instance, 'bws/upload', revoked), 'still revoked').toBe(401)
        await expect.poll(() => statusOf(instance, 'bws/verify', newBws)).toBe(200)
        await expect.poll(() => statusOf(instance, 'bws/verify', single)).toBe(403)
      }
      expect((await revoke(second, newBws)).status).toBe(200)
      await sleep(PROMISED_MS)
      for (const instance of instances) expect(await statusOf(instance, 'bws/upload', newBws)).toBe(401)
    },
  )
})
