import { X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { cert, key, otherCert, otherKey } from '../../support/certificate.ts'
import { ACCOUNT, LOGIN, login } from '../../support/idscan.ts'
import { checkBws, introspect, issueBws, issueIdscan, RESOURCE_SERVERS, revoke } from '../../support/lifecycle.ts'
import { create, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { KEY, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const MINIMAL = { publicUrl: 'https://tokens.example.com', keys: [{ secret: KEY }], store: 'sqlite::memory:' }

const configuration = {
  idscan: { accounts: [ACCOUNT] },
  nevisfido: OPEN,
  resourceServers: RESOURCE_SERVERS,
  guard: { accountFailures: 2 },
}

/** Returns the value of every series, by its name and labels. */
async function scrape(service: Service): Promise<Map<string, number>> {
  const { status, headers, body } = await service.request('/metrics')
  expect(status).toBe(200)
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ')
      return [line.slice(0, end), Number(line.slice(end + 1))]
    }),
  )
}

test('counts every decision, by contract and reason', async () => {
  await using service = await startService({ configuration, processMetrics: true })
  const bws = await issueBws(service)
  await checkBws(service, 'verify', bws)
  await checkBws(service, 'enroll', bws)
  await introspect(service, bws)
  await revoke(service, await issueIdscan(service))
  const { token } = await createToken(service, 'registration')
  await redeem(service, 'registration', token)
  await redeem(service, 'registration', token)
  await getToken(service, QUERY, { as: { id: 'nobody', secret: 'at all' } })
  for (let failure = 0; failure < 2; failure++) await login(service, { ...LOGIN, password: 'wrong password' })

  const metrics = await scrape(service)
  const expected = {
    'trimint_tokens_issued_total{contract="bws"}': 1,
    'trimint_tokens_issued_total{contract="idscan"}': 1,
    'trimint_tokens_issued_total{contract="nevisfido"}': 1,
    'trimint_tokens_checked_total{contract="bws"}': 1,
    'trimint_tokens_introspected_total{contract="bws"}': 1,
    'trimint_tokens_revoked_total{contract="idscan"}': 1,
    'trimint_tokens_redeemed_total{contract="nevisfido"}': 1,
    'trimint_requests_refused_total{contract="bws",reason="wrong_task"}': 1,
    'trimint_requests_refused_total{contract="bws",reason="unknown_app"}': 1,
    'trimint_requests_refused_total{contract="nevisfido",reason="token_spent"}': 1,
    'trimint_requests_refused_total{contract="idscan",reason="bad_password"}': 2,
    'trimint_secrets_used_total{holder="app",slot="0"}': 1,
    'trimint_secrets_used_total{holder="resource_server",slot="0"}': 2,
    'trimint_guard_blocks_total{scope="account"}': 1,
    trimint_password_checks: 0,
    trimint_sessions_live: 1,
    'trimint_store_duration_seconds_count{store="tokens",operation="create"}': 1,
    'trimint_store_duration_seconds_count{store="uses",operation="count"}': 1,
    'trimint_http_request_duration_seconds_count{route="/token",status="200"}': 1,
    'trimint_http_request_duration_seconds_count{route="/authz/bws/:operation",status="403"}': 1,
  }
  expect(Object.fromEntries(Object.keys(expected).map((name) => [name, metrics.get(name)]))).toEqual(expected)
  expect([...metrics.keys()].find((name) => name.startsWith('trimint_build_info{'))).toMatch(/version="\d.*",node="\d/)
  expect(metrics.has('nodejs_eventloop_lag_p99_seconds')).toBe(true)
  expect(metrics.has('process_resident_memory_bytes')).toBe(true)
})

/** Counts Trimint's own series. */
async function countSeries(service: Service): Promise<number> {
  return [...(await scrape(service)).keys()].filter((name) => name.startsWith('trimint_')).length
}

test('creates no label from a path, name or token of a caller', async () => {
  await using service = await startService({ configuration })
  const before = await countSeries(service)
  for (let count = 0; count < 20; count++) {
    await service.request(`/nothing-${count}`)
    await service.request(`/authz/bws/nothing-${count}`)
    await service.request(`/nevisfido/token/create/nothing-${count}`, { method: 'POST' })
  }
  const once = await countSeries(service)
  for (let count = 20; count < 40; count++) {
    await service.request(`/nothing-${count}`)
    await service.request(`/authz/bws/nothing-${count}`)
    await service.request(`/nevisfido/token/create/nothing-${count}`, { method: 'POST' })
  }
  expect(once).toBeGreaterThan(before)
  expect(await countSeries(service)).toBe(once)
})

test('counts store errors', async () => {
  const away = async (): Promise<never> => {
    throw new Error('the store is away')
  }
  await using lender = await startService()
  const tokens = { ...lender.stores.tokens, create: away }
  await using service = await startService({ configuration, stores: { tokens } })
  await create(service, 'registration')
  const metrics = await scrape(service)
  expect(metrics.get('trimint_store_errors_total{store="tokens",operation="create"}')).toBe(1)
})

test('stops counting a session when it expires', async () => {
  const clock = createFrozenClock()
  await using service = await startService({ configuration, clock })
  for (let count = 0; count < 3; count++) await createToken(service, 'authentication')
  expect((await scrape(service)).get('trimint_sessions_live')).toBe(3)
  clock.advance(301_000)
  expect((await scrape(service)).get('trimint_sessions_live')).toBe(0)
})

test('counts the days until the certificate expires, also after a reload, and none without TLS', async () => {
  const clock = createFrozenClock()
  const series = 'trimint_certificate_expiry_days{setting="tls"}'
  const daysOf = (pem: string) => (new X509Certificate(pem).validToDate.getTime() - clock()) / 86_400_000
  const tls = { cert, key }
  await using secure = await startService({ configuration: { ...configuration, tls }, clock })
  expect((await scrape(secure)).get(series)).toBeCloseTo(daysOf(cert), 6)
  clock.advance(12 * 3_600_000)
  expect((await scrape(secure)).get(series)).toBeCloseTo(daysOf(cert), 6)
  await secure.trimint.reload({ ...MINIMAL, tls: { cert: otherCert, key: otherKey } })
  expect((await scrape(secure)).get(series)).toBeCloseTo(daysOf(otherCert), 6)
  clock.set(new Date('2127-01-01').getTime())
  expect((await scrape(secure)).get(series)).toBeLessThan(-50)

  await using plain = await startService({ configuration })
  expect([...(await scrape(plain)).keys()].filter((name) => name.includes('certificate'))).toEqual([])
})

describe('METRICS_PORT', () => {
  test.each([undefined, '127.0.0.2'])(
    'listens on loopback unless METRICS_HOST says otherwise (%s)',
    async (metricsHost) => {
      const options = { host: '0.0.0.0', metricsPort: 0, ...(metricsHost === undefined ? {} : { metricsHost }) }
      await using trimint = await startTrimint({ ...options, configuration: MINIMAL })
      expect(new URL(trimint.metricsUrl ?? '').hostname).toBe(metricsHost ?? '127.0.0.1')
      expect((await fetch(`${trimint.metricsUrl}/metrics`)).status).toBe(200)
      const { port } = new URL(trimint.metricsUrl ?? '')
      await expect(fetch(`http://127.0.0.3:${port}/metrics`)).rejects.toThrow('fetch failed')
      // The main port listens on all addresses, and has no metrics.
      const { port: mainPort } = new URL(trimint.url)
      expect((await fetch(`http://127.0.0.3:${mainPort}/metrics`)).status).toBe(404)
    },
  )

  test('names METRICS_HOST where it is not an address of this machine', async () => {
    const starting = startTrimint({ metricsPort: 0, metricsHost: '192.0.2.1', configuration: MINIMAL })
    await expect(starting).rejects.toThrow('environment METRICS_HOST: cannot listen: ')
  })
})

describe('limits of rendering', () => {
  test.each([undefined, 0])('renders once a second for all clients (METRICS_PORT %s)', async (metricsPort) => {
    const uptime = createFrozenClock()
    let rendered = 0
    await using trimint = await startTrimint({
      uptime,
      metricsMaxAgeMs: 1_000,
      ...(metricsPort === undefined ? {} : { metricsPort }),
      async renderMetrics() {
        rendered += 1
        await sleep(50)
        return `rendered ${rendered}\n`
      },
    })
    const scrapeAll = async (): Promise<Set<string>> => {
      const url = `${trimint.metricsUrl ?? trimint.url}/metrics`
      return new Set(await Promise.all(Array.from({ length: 50 }, async () => (await fetch(url)).text())))
    }
    expect(await scrapeAll()).toEqual(new Set(['rendered 1\n']))
    uptime.advance(999)
    expect(await scrapeAll()).toEqual(new Set(['rendered 1\n']))
    uptime.advance(1)
    expect(await scrapeAll()).toEqual(new Set(['rendered 2\n']))
  })

  test('tries again after a failed rendering', async () => {
    let isFailing = true
    await using trimint = await startTrimint({
      metricsMaxAgeMs: 60_000,
      renderMetrics: async () => (isFailing ? Promise.reject(new Error('a worker is gone')) : 'metrics\n'),
    })
    expect((await fetch(`${trimint.url}/metrics`)).status).toBe(500)
    isFailing = false
    expect((await fetch(`${trimint.url}/metrics`)).status).toBe(200)
  })

  test('rejects scrapes on the main port while load is shed, not those on METRICS_PORT', async () => {
    const overload = { eventLoopDelay: '1s', heap: 100 }
    for (const metricsPort of [undefined, 0]) {
      await using trimint = await startTrimint({
        configuration: { ...MINIMAL, overload },
        maxResidentBytes: 1,
        ...(metricsPort === undefined ? {} : { metricsPort }),
      })
      const statusOf = async (path: string) => (await fetch(trimint.url + path)).status
      await expect.poll(() => statusOf('/docs')).toBe(503)
      if (trimint.metricsUrl) expect((await fetch(`${trimint.metricsUrl}/metrics`)).status).toBe(200)
      else expect(await statusOf('/metrics')).toBe(503)
    }
  })
})
