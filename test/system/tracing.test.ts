import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { FULL } from '../support/full.ts'
import { findFreePort } from '../support/ports.ts'
import { startProcess } from '../support/process.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

interface Span {
  readonly name: string
  readonly traceId: string
  readonly parentSpanId?: string
  readonly attributes: { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]
}

/** Starts a collector that accepts OTLP over HTTP. */
async function startCollector(port = 0) {
  const received: unknown[] = []
  const server = createServer(async (request, response) => {
    received.push(await json(request))
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  const spans = () =>
    received.flatMap((body) =>
      (body as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }).resourceSpans.flatMap(({ scopeSpans }) =>
        scopeSpans.flatMap((scope) => scope.spans),
      ),
    )
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    spans,
    [Symbol.dispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

test("with OTEL_… set, a request continues its client's trace, and the audit line names the trace", async () => {
  using collector = await startCollector()
  await using started = await startProcess({
    DRAIN_DELAY: '0s',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '100',
  })
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  const authorization = `Basic ${Buffer.from('demo-app:demo-secret').toString('base64')}`
  const query = 'id=demo-app&bcid=bws.1.1&marker=that-no-span-may-hold'
  const traceparent = `00-${TRACE}-${PARENT}-01`
  expect((await fetch(`${url}/token?${query}`, { headers: { authorization, traceparent } })).status).toBe(200)
  expect((await fetch(`${url}/token?${query}`, { headers: { authorization } })).status).toBe(200)
  await started.sees(/"event":"token.issued".*\n.*"event":"token.issued"/)

  await expect.poll(() => collector.spans().filter(({ name }) => name === 'request').length).toBe(2)
  const continued = collector.spans().find(({ parentSpanId }) => parentSpanId === PARENT)
  expect(continued).toMatchObject({ name: 'request', traceId: TRACE })
  expect(continued?.attributes).toContainEqual({ key: 'url.path', value: { stringValue: '/token' } })
  const lines = started.out().match(/"event":"token.issued".*"traceId":"([0-9a-f]{32})"/g) ?? []
  expect(lines).toHaveLength(2)
  expect(lines[0]).toContain(`"traceId":"${TRACE}"`)
  const own = collector.spans().find(({ traceId }) => traceId !== TRACE)
  expect(lines[1]).toContain(`"traceId":"${own?.traceId}"`)

  const all = JSON.stringify(collector.received)
  expect(all).toContain('"trimint"')
  expect(all).not.toContain('that-no-span-may-hold')
  expect(all).not.toContain(authorization.slice(6))
})

test('logs that the collector is away, when it is back, and a protocol that is not supported', async () => {
  const port = await findFreePort()
  await using started = await startProcess({
    DRAIN_DELAY: '0s',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  })
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  expect(started.out()).toMatch(
    /"event":"configuration.warning","warning":"environment OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not supported/,
  )
  const askUntil = (line: RegExp) =>
    expect
      .poll(async () => {
        await fetch(`${url}/healthz`)
        return started.out()
      })
      .toMatch(line)
  await askUntil(/"event":"tracing.failed","error":"[^"]+"/)
  using collector = await startCollector(port)
  await askUntil(/"event":"tracing.recovered"/)
  expect(collector.spans().length).toBeGreaterThan(0)
})

test.each(FULL ? [{}, { OTEL_SDK_DISABLED: 'true' }] : [{ OTEL_SDK_DISABLED: 'true' }])(
  'nothing is traced with %j',
  async (variables) => {
    await using started = await startProcess(variables)
    const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
    await fetch(`${url}/token`)
    await started.sees(/"event":"token.refused"/)
    expect(started.out()).not.toContain('traceId')
  },
)
