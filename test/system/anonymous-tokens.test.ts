import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import type { TokenRecord } from '../../src/core/ports/token-store.ts'
import { openStores, type Stores } from '../../src/store/open-stores.ts'
import { checkBws, issueBws, RESOURCE_SERVERS, revoke } from '../support/lifecycle.ts'
import { CLIENT, codeOf, create, createToken, OPEN, redeem } from '../support/nevisfido.ts'
import { hasProgram } from '../support/programs.ts'
import { createRecord } from '../support/records.ts'
import { startRedis } from '../support/redis.ts'
import { APP, type Reply, type Service, startService } from '../support/service.ts'

// Callers without credentials create as many tokens as they can. They must not take the room that revocations and
// tries need.

const PNG = Buffer.from('89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de', 'hex')

/** A body whose context has so many bytes, nearly all of them an image. */
function bodyOf(bytes: number): string {
  const content = Buffer.concat([PNG, Buffer.alloc(Math.floor(bytes * 0.74))]).toString('base64')
  return JSON.stringify({
    op: 'Auth',
    context: JSON.stringify({ transaction: [{ contentType: 'image/png', content }] }),
  })
}

/** Sends requests over one connection, one after the other, and returns how often each code was answered. */
async function flood(service: Service, count: number, bytes: number): Promise<Record<number, number>> {
  const body = bodyOf(bytes)
  const codes: number[] = []
  for (let at = 0; at < count; at++) codes.push(codeOf(await create(service, 'authentication', { body })))
  return Object.fromEntries(
    Object.entries(Object.groupBy(codes, String)).map(([code, all]) => [code, all?.length ?? 0]),
  )
}

const CONFIGURATION = {
  bws: { apps: [APP] },
  resourceServers: RESOURCE_SERVERS,
  guard: false as const,
  nevisfido: { ...OPEN, protect: ['registration' as const] },
}

/** Checks what must work beside any number of anonymous tokens. */
async function expectRevocationAndTries(service: Service): Promise<void> {
  const counted = await issueBws(service, 'task=verify&maxtries=2')
  const statuses: number[] = []
  for (let at = 0; at < 3; at++) statuses.push((await checkBws(service, 'verify', counted)).status)
  expect(statuses).toEqual([200, 200, 403])
  const revoked = await issueBws(service)
  expect((await revoke(service, revoked)).status).toBe(200)
  expect((await checkBws(service, 'enroll', revoked)).status).toBe(401)
}

/** The record of a token for a transaction of 46 KB. */
const largeRecord = (): TokenRecord =>
  createRecord({ username: undefined, client: undefined, uafRequest: 'x'.repeat(46_000), createdAt: Date.now() })

const asClient = { as: CLIENT } as const
const createWithCredentials = (service: Service): Promise<Reply> => create(service, 'registration', asClient)

describe.each([
  { kind: 'SQLite', isHere: true },
  { kind: 'Redis', isHere: hasProgram('redis-server') },
])('on $kind', ({ kind, isHere }) => {
  test.skipIf(!isHere)(
    'N13: refuses anonymous tokens beyond the limit with 1500, and serves everything else',
    async () => {
      await using stack = new AsyncDisposableStack()
      const redis = kind === 'Redis' ? stack.use(await startRedis()) : undefined
      const stores = redis && (await openStores(redis.url))
      stack.defer(() => stores?.close())
      const nevisfido = { ...CONFIGURATION.nevisfido, anonymous: { maxTokens: 50 } }
      const service = stack.use(
        await startService({ configuration: { ...CONFIGURATION, nevisfido }, ...(stores ? { stores } : {}) }),
      )
      expect(await flood(service, 60, 200)).toEqual({ 1200: 50, 1500: 10 })
      expect(service.log.at(-1)).toMatchObject({ event: 'token.refused', reason: 'overloaded' })
      expect(codeOf(await createWithCredentials(service))).toBe(1200)
      await expectRevocationAndTries(service)
      expect((await service.request('/readyz')).status).toBe(200)
    },
  )
})

describe.skipIf(!hasProgram('redis-server'))('a Redis of 64 MB', () => {
  async function startSmall(anonymous = {}) {
    const redis = await startRedis()
    const client = createClient({ url: redis.url })
    await client.connect()
    await client.configSet({ 'maxmemory-policy': 'noeviction', maxmemory: '64mb' })
    await client.close()
    const stores = await openStores(redis.url)
    const service = await startService({
      stores,
      configuration: { ...CONFIGURATION, nevisfido: { ...CONFIGURATION.nevisfido, anonymous } },
    })
    return {
      service,
      stores,
      async [Symbol.asyncDispose]() {
        await service.close()
        await stores.close()
        await redis.stop()
      },
    }
  }

  test('N10: refuses contexts of 46 KB without credentials, and goes on working', async () => {
    await using small = await startSmall()
    expect(await flood(small.service, 10, 46_000)).toEqual({ 1498: 10 })
    expect(await flood(small.service, 10, 1_800)).toEqual({ 1200: 10 })
    await expectRevocationAndTries(small.service)
    expect((await small.service.request('/readyz')).status).toBe(200)
  })

  test('takes revocations, tries, failures and redemptions while it refuses anonymous tokens for lack of memory', async () => {
    await using small = await startSmall({ maxContextBytes: 64_000, maxBytes: 1_000_000_000 })
    const { service, stores } = small
    const early = await createToken(service, 'registration', asClient)
    // Few at a time, because requests on their way take memory too.
    for (let refusals = 0; refusals < 3; ) {
      const few = Array.from({ length: 8 }, () => stores.tokens.create(largeRecord()))
      const outcomes = await Promise.allSettled(few)
      refusals = outcomes.every(({ status }) => status === 'rejected') ? refusals + 1 : 0
    }
    let accepted = 0
    for (let round = 0; round < 5; round++) {
      accepted += await createUntilRefused(service)
      await expectRevocationAndTries(service)
      accepted += await createUntilRefused(service)
      await expectFailures(stores, `account ${round}`)
      accepted += await createUntilRefused(service)
      await expectConcurrentRevocations(stores, round)
    }
    // One may fit where the memory of another was freed. The reserve of 4 MiB would hold 60.
    expect(accepted).toBeLessThan(60)
    expect(codeOf(await redeem(service, 'registration', early.token))).toBe(1200)
  })
})

/** Creates anonymous tokens of 46 KB until three in a row are refused. Returns how many were created. */
async function createUntilRefused(service: Service): Promise<number> {
  let accepted = 0
  for (let refusals = 0; refusals < 3; ) {
    const [code] = Object.keys(await flood(service, 1, 46_000))
    expect(code).toMatch(/^1[25]00$/)
    if (code === '1200') accepted += 1
    refusals = code === '1500' ? refusals + 1 : 0
  }
  return accepted
}

/** Counts failures and blocks, and fills the memory in between. */
async function expectFailures({ failures, tokens }: Stores, key: string): Promise<void> {
  const now = Date.now()
  await failures.add(key, 60_000, now)
  await expect.poll(() => tokens.create(largeRecord()).then(String, String)).toMatch(/OOM/)
  await failures.block(key, now + 90_000, now)
  const listed = await failures.list(now, { blocks: 100, counts: 0 })
  expect(listed).toContainEqual({ key, failures: 1, expires: now + 90_000 })
}

/** Of revocations at the same time, only one finds the reserve. */
async function expectConcurrentRevocations({ revocations }: Stores, round: number): Promise<void> {
  const now = Date.now()
  const subjects = Array.from({ length: 20 }, (_, at) => `token ${round}-${at}`)
  const adding = subjects.map((subject) => revocations.add({ subject, issuedUntil: now, expires: now + 300_000 }, now))
  expect(await Promise.allSettled(adding)).toEqual(subjects.map(() => ({ status: 'fulfilled', value: undefined })))
}
