import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Stores } from '../../../src/store/open-stores.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { ACCOUNT, jsonOf, LOGIN, login } from '../../support/idscan.ts'
import {
  checkBws,
  checkIdscan,
  introspect,
  issueBws,
  issueIdscan,
  RESOURCE_SERVERS,
  revoke,
} from '../../support/lifecycle.ts'
import { askStatus, codeOf, create, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { APP, APP_SECRET, KEY, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const configuration = { idscan: { accounts: [ACCOUNT] }, nevisfido: OPEN, resourceServers: RESOURCE_SERVERS }

const away = async (): Promise<never> => {
  throw new Error('the store is away')
}

describe('GET /readyz', () => {
  test('returns 200 while the instance accepts requests', async () => {
    await using service = await startService()
    const reply = await service.request('/readyz')
    expect(reply).toMatchObject({ status: 200, body: '{"status":"ready"}', headers: { 'cache-control': 'no-store' } })
  })

  describe('while the instance drains', () => {
    let service: Service
    beforeAll(async () => {
      service = await startService({ drainingMs: 30_000 })
    })
    afterAll(() => service.close())

    test('returns 503 while /healthz and the contracts still answer', async () => {
      expect(await service.request('/readyz')).toMatchObject({
        status: 503,
        body: '{"status":"not_ready","reasons":["draining"],"serving":["bws"]}',
      })
      expect((await service.request('/healthz')).status).toBe(200)
      expect((await getToken(service, QUERY)).status).toBe(200)
    })

    test.each(['/token', '/nothing', '/%zz'])('each reply closes its connection: %s', async (path) => {
      expect((await service.request(path)).headers.connection).toBe('close')
    })
  })

  test('returns 503 once the revocations are older than a second, and 200 once the store is back', async () => {
    const clock = createFrozenClock()
    await using lender = await startService()
    const { since } = lender.stores.revocations
    let isAway = false
    const revocations = { ...lender.stores.revocations, since: (cursor?: string) => (isAway ? away() : since(cursor)) }
    await using service = await startService({ clock, stores: { revocations } })
    isAway = true
    clock.advance(1_001)
    expect(await service.request('/readyz')).toMatchObject({
      status: 503,
      body: '{"status":"not_ready","reasons":["store_unavailable"],"serving":["bws"]}',
    })
    expect((await service.request('/healthz')).status).toBe(200)
    isAway = false
    expect((await service.request('/readyz')).status).toBe(200)
  })
})

describe('GET /readyz with a store that can be read', () => {
  test('returns 503 while it cannot be written, writing once a second at most, however many ask', async () => {
    const clock = createFrozenClock()
    await using lender = await startService()
    const { announce } = lender.stores.replicas
    let isReadOnly = false
    let writes = 0
    const replicas: Stores['replicas'] = {
      ...lender.stores.replicas,
      announce(...values) {
        writes += 1
        return isReadOnly ? away() : announce(...values)
      },
    }
    await using service = await startService({ clock, stores: { replicas }, intervals: { heartbeatMs: 60_000 } })
    const before = writes
    for (let at = 0; at < 20; at++) expect((await service.request('/readyz')).status).toBe(200)
    expect(writes).toBe(before + 1)
    isReadOnly = true
    clock.advance(1_000)
    expect(await service.request('/readyz')).toMatchObject({
      status: 503,
      body: '{"status":"not_ready","reasons":["store_unavailable"],"serving":["bws"]}',
    })
    isReadOnly = false
    expect((await service.request('/readyz')).status).toBe(200)
  })

  test('returns 503 while reading the revocations takes longer than they may be old', async () => {
    const clock = createFrozenClock()
    await using lender = await startService()
    const { since } = lender.stores.revocations
    let isSlow = false
    const revocations: Stores['revocations'] = {
      ...lender.stores.revocations,
      since(cursor) {
        if (isSlow) clock.advance(1_001)
        return since(cursor)
      },
    }
    await using service = await startService({ clock, stores: { revocations } })
    expect((await service.request('/readyz')).status).toBe(200)
    isSlow = true
    clock.advance(1_001)
    expect((await service.request('/readyz')).status).toBe(503)
    isSlow = false
    expect((await service.request('/readyz')).status).toBe(200)
  })
})

describe('with every signing key expired', () => {
  const keys = [{ secret: KEY, notAfter: '2026-02-01T00:00:00Z' }]
  const NOT_READY = { status: 503, body: '{"status":"not_ready","reasons":["no_signing_key"],"serving":["nevisfido"]}' }

  test('is not ready, and answers 503 to BWS and to every IDscan login', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration: { ...configuration, keys } })
    expect((await service.request('/readyz')).status).toBe(200)
    clock.set(Date.parse('2026-02-01T00:00:00Z'))
    expect(await service.request('/readyz')).toMatchObject(NOT_READY)
    expect((await service.request('/healthz')).status).toBe(200)
    const message = '{"Message":"Temporarily unavailable. Try again later."}'
    expect(await getToken(service, QUERY)).toMatchObject({ status: 503, body: message })

    const right = await login(service)
    expect(right).toMatchObject({ status: 503 })
    expect(jsonOf(right)).toMatchObject({ error: 'temporarily_unavailable' })
    const wrong = await login(service, { ...LOGIN, password: 'a wrong password' })
    const unknown = await login(service, { ...LOGIN, username: 'nobody', password: 'a wrong password' })
    for (const { status, body } of [wrong, unknown]) expect({ status, body }).toEqual({ status: 503, body: right.body })
    expect(service.log.at(-1)).toMatchObject({ event: 'token.refused', reason: 'no_signing_key' })
    expect(service.log.filter(({ event }) => event === 'keys.expired')).toHaveLength(1)

    await service.trimint.reload({
      publicUrl: 'https://tokens.example.com',
      keys: [...keys, { secret: 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4' }],
      bws: { apps: [APP] },
      idscan: { accounts: [ACCOUNT] },
      store: 'sqlite::memory:',
      overload: false,
    })
    expect((await service.request('/readyz')).status).toBe(200)
    expect((await login(service)).status).toBe(200)
  })

  test('logs it without a request', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration: { keys } })
    clock.set(Date.parse('2026-02-01T00:00:00Z'))
    await expect.poll(() => service.log.filter(({ event }) => event === 'keys.expired').length).toBe(1)
  })

  test('is ready where no contract signs', async () => {
    const clock = createFrozenClock(Date.parse('2026-02-01T00:00:00Z') - 1_000)
    const nevisfidoAlone = { bws: false as const, nevisfido: OPEN, keys }
    await using service = await startService({ clock, configuration: nevisfidoAlone })
    clock.advance(2_000)
    expect((await service.request('/readyz')).status).toBe(200)
    expect(codeOf(await create(service, 'registration'))).toBe(1200)
  })
})

describe('load shedding', () => {
  /** Blocks the event loop until the service sheds load. */
  async function press(service: Service): Promise<void> {
    await expect
      .poll(
        async () => {
          const until = performance.now() + 300
          while (performance.now() < until);
          return (await getToken(service, QUERY)).status
        },
        { interval: 1 },
      )
      .toBe(503)
  }

  test('above the memory limit refuses as each contract prescribes, and spares health checks (B22, I26, N13)', async () => {
    // More than one percent of the heap limit on any machine with less than 12 GB for it.
    const held = new Array(16_000_000).fill(0.5)
    await using service = await startService({ configuration })
    const bws = await issueBws(service)
    const idscan = await issueIdscan(service)
    const fido = await createToken(service, 'registration')
    await using busy = await startService({
      configuration: { ...configuration, overload: { eventLoopDelay: '1s', heap: 1 } },
      stores: service.stores,
    })
    await expect.poll(async () => (await getToken(busy, QUERY)).status).toBe(503)
    const unavailable = { status: 503, headers: { 'retry-after': '1' } }
    const message = '{"Message":"Temporarily unavailable. Try again later."}'

    const refused = await getToken(busy, QUERY)
    expect(refused).toMatchObject({ ...unavailable, body: message })
    const loggedOut = await login(busy)
    expect(loggedOut).toMatchObject(unavailable)
    expect(jsonOf(loggedOut)).toMatchObject({ error: 'temporarily_unavailable' })
    const created = await create(busy, 'registration')
    expect([created.status, codeOf(created)]).toEqual([200, 1500])
    const redeemed = await redeem(busy, 'registration', fido.token)
    expect([redeemed.status, codeOf(redeemed)]).toEqual([200, 1500])
    const status = await askStatus(busy, fido.sessionId)
    expect([status.status, codeOf(status)]).toEqual([503, 1500])
    const uncached = { status: 503, headers: { 'retry-after': '1', 'cache-control': 'no-store' } }
    expect(await checkBws(busy, 'upload', bws)).toMatchObject({ ...uncached, body: message })
    expect(await checkIdscan(busy, 'scanning', idscan)).toMatchObject({ ...uncached, body: message })
    for (const reply of [await busy.request('/docs'), await introspect(busy, bws), await revoke(busy, bws)]) {
      expect(reply).toMatchObject(uncached)
      expect(JSON.parse(reply.body)).toMatchObject({ error: 'temporarily_unavailable' })
    }
    expect(busy.log.at(-1)).toMatchObject({ event: 'token.refused', reason: 'overloaded' })

    expect((await busy.request('/healthz')).status).toBe(200)
    expect((await busy.request('/readyz')).status).toBe(200)
    expect(held).toHaveLength(16_000_000)
  })

  test('above the limit of resident memory refuses, and spares health checks', async () => {
    // The service samples its memory every two seconds.
    const overload = { eventLoopDelay: '1s', heap: 100 }
    await using busy = await startService({ configuration: { overload }, maxResidentBytes: 1024 * 1024 })
    await expect.poll(async () => (await getToken(busy, QUERY)).status).toBe(503)
    expect((await busy.request('/docs')).status).toBe(503)
    expect((await busy.request('/healthz')).status).toBe(200)
    await using roomy = await startService({ configuration: { overload } })
    await new Promise((done) => setTimeout(done, 2_500))
    expect((await getToken(roomy, QUERY)).status).toBe(200)
  })

  test('above the event-loop limit refuses, and accepts again once the load is gone', async () => {
    await using service = await startService({ configuration: { overload: { eventLoopDelay: '20ms', heap: 100 } } })
    await press(service)
    await expect.poll(async () => (await getToken(service, QUERY)).status).toBe(200)
  })

  test('refuses nothing when switched off', async () => {
    await using service = await startService({ configuration: { overload: false } })
    const until = performance.now() + 500
    while (performance.now() < until);
    await new Promise((done) => setTimeout(done, 300))
    expect((await getToken(service, QUERY)).status).toBe(200)
  })
})

describe('two secrets', () => {
  const OLD = 'the old secret of the app'
  const app = {
    id: APP.id,
    bcids: '*' as const,
    secrets: [{ secret: `plain:${APP_SECRET}` }, { secret: `plain:${OLD}`, notAfter: '2026-02-01T00:00:00Z' }],
  }

  test('are both accepted until the notAfter of one; audit line and counter say which was used', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration: { bws: { apps: [app] } } })
    expect((await getToken(service, QUERY)).status).toBe(200)
    expect(service.log.at(-1)).toMatchObject({ event: 'token.issued', secretSlot: 0 })
    const old = { as: { id: APP.id, secret: OLD } }
    expect((await getToken(service, QUERY, old)).status).toBe(200)
    expect((await getToken(service, QUERY, old)).status).toBe(200)
    expect(service.log.at(-1)).toMatchObject({ event: 'token.issued', secretSlot: 1 })
    const { values } = await service.metrics.secretsUsed.get()
    expect(values).toEqual([
      { value: 1, labels: { holder: 'app', slot: 0 } },
      { value: 2, labels: { holder: 'app', slot: 1 } },
    ])

    clock.set(Date.UTC(2026, 1, 1))
    expect((await getToken(service, QUERY, old)).status).toBe(401)
    expect((await getToken(service, QUERY)).status).toBe(200)
  })

  test('are accepted from a resource server and from a client', async () => {
    const secrets = [{ secret: 'plain:never given' }, { secret: RESOURCE_SERVERS[0]?.secret ?? '' }]
    await using service = await startService({
      configuration: {
        resourceServers: [{ id: 'verify-api', secrets }],
        nevisfido: { ...OPEN, protect: ['registration'], clients: [{ id: 'backend', users: '*', secrets }] },
      },
    })
    await introspect(service, await issueBws(service))
    expect(service.log.at(-1)).toMatchObject({
      event: 'token.introspected',
      resourceServer: 'verify-api',
      secretSlot: 1,
    })
    const as = { id: 'backend', secret: 'resource server secret 7f3a' }
    expect(codeOf(await create(service, 'registration', { as }))).toBe(1200)
    expect(service.log.at(-1)).toMatchObject({ event: 'token.issued', client: 'backend', secretSlot: 1 })
  })
})
