import { expect, test } from 'vitest'
import { configurationSchema } from '../../../src/config/schema.ts'
import { DEFAULT_CONNECTION_LIMITS as LIMITS } from '../../../src/http/listener.ts'
import { readTable } from '../../support/markdown.ts'
import { KEY, startServiceAndApp } from '../../support/service.ts'

// Compares the limits in docs/security.md with those in force.

const valuesUnder = (heading: string): Record<string, string> =>
  Object.fromEntries(readTable('docs/security.md', heading).map(([limit = '', value = '']) => [limit, value]))

const seconds = (milliseconds: number): string => `${milliseconds / 1000} s`

test('docs/security.md states the limits per connection that the server enforces', async () => {
  const { service, app } = await startServiceAndApp({})
  await using _service = service
  expect(valuesUnder('Limits')).toMatchObject({
    'time to receive the headers': seconds(LIMITS.headersTimeoutMs),
    'time for the TLS handshake': seconds(LIMITS.tlsHandshakeTimeoutMs),
    'time to receive the whole request': seconds(LIMITS.requestTimeoutMs),
    body: `${Number(app.initialConfig.bodyLimit) / 1024} KiB`,
    'unanswered requests on a connection': String(LIMITS.maxPendingRequests),
    'time between two requests': seconds(LIMITS.keepAliveTimeoutMs),
    'time without traffic': seconds(LIMITS.idleTimeoutMs),
  })
  const headersOf = async (bytes: number) =>
    (await service.request('/healthz', { headers: { x: 'x'.repeat(bytes) } })).status
  const [kibibytes = '0'] = valuesUnder('Limits')['request headers']?.split(' ') ?? []
  expect(await headersOf(Number(kibibytes) * 1024 - 200)).toBe(200)
  expect(await headersOf(Number(kibibytes) * 1024)).toBe(431)
})

const { guard, overload } = configurationSchema.parse({ publicUrl: 'https://t.example.com', keys: [{ secret: KEY }] })

test('docs/security.md states the default limits of overload', () => {
  expect(valuesUnder('Limits')).toMatchObject({
    'mean event-loop delay (`overload.eventLoopDelay`)': seconds((overload || undefined)?.eventLoopDelay ?? 0),
    'heap (`overload.heap`)': `${(overload || undefined)?.heap} %`,
  })
})

test('docs/security.md states the default limits of guard', () => {
  const { accountFailures, addressFailures, window, block } = guard || {}
  expect(valuesUnder('Failed attempts')).toEqual({
    '`accountFailures`': String(accountFailures),
    '`addressFailures`': String(addressFailures),
    '`window`': `${Number(window) / 60} min`,
    '`block`': `${Number(block) / 60} min`,
  })
})
