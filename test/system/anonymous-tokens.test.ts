import { randomUUID } from 'node:crypto'
import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import type { TokenRecord } from '../../src/core/ports/token-store.ts'
import { openStores } from '../../src/store/open-stores.ts'
import { checkBws, issueBws, RESOURCE_SERVERS, revoke } from '../support/lifecycle.ts'
import { CLIENT, codeOf, create, createToken, OPEN, redeem } from '../support/nevisfido.ts'
import { hasProgram } from '../support/programs.ts'
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
function largeRecord(): TokenRecord {
  const id = randomUUID()
  const createdAt = Date.now()
  return {
    tokenDigest: id,
    sessionDigest: `session-${id}`,
    operation: 'authentication',
    username: undefined,
    client: undefined,
    uafRequest: 'x'.repeat(46_000),
    createdAt,
    knownRevocation: 0,
    expiresAt: createdAt + 300_000,
    responseLifetime: 120_000,
    redeemedAt: undefined,
    revokedAt: undefined,
    outcome: undefined,
  }
}

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

  test('keeps room for revocations, tries and redemptions when tokens have filled it', async () => {
    await using small = await startSmall({ maxContextBytes: 64_000, maxBytes: 1_000_000_000 })
    const { service, stores } = small
    const early = await createToken(service, 'registration', asClient)
    // Few at a time, because requests on their way take memory too.
    for (let refusals = 0; refusals < 3; ) {
      const few = Array.from({ length: 8 }, () => stores.tokens.create(largeRecord()))
      const outcomes = await Promise.allSettled(few)
      refusals = outcomes.every(({ status }) => status === 'rejected') ? refusals + 1 : 0
    }
    const codes: number[] = []
    for (let round = 0; round < 10; round++) {
      await expectRevocationAndTries(service)
      for (let at = 0; at < 5; at++) codes.push(codeOf(await createWithCredentials(service)))
      codes.push(...Object.keys(await flood(service, 1, 46_000)).map(Number))
    }
    // Small tokens may still fit where large ones do not.
    expect(codes).toContain(1500)
    expect(codeOf(await redeem(service, 'registration', early.token))).toBe(1200)
  })
})
