import { expect, test } from 'vitest'
import { configurationSchema } from '../../../src/config/schema.ts'
import { DEFAULT_CONNECTION_LIMITS as LIMITS } from '../../../src/http/listener.ts'
import { readTable } from '../../support/markdown.ts'
import { KEY, startServiceAndApp } from '../../support/service.ts'

// The numbers that the page on security gives are those that are in force.

const valuesUnder = (heading: string): Record<string, string> =>
  Object.fromEntries(readTable('docs/security.md', heading).map(([limit = '', value = '']) => [limit, value]))

const seconds = (milliseconds: number): string => `${milliseconds / 1000} s`

test('what a connection may cost', async () => {
  const { service, app } = await startServiceAndApp({})
  await using _service = service
  expect(valuesUnder('Limits')).toMatchObject({
    'until they are in': seconds(LIMITS.headersTimeoutMs),
    'until the whole request is in': seconds(LIMITS.requestTimeoutMs),
    body: `${Number(app.initialConfig.bodyLimit) / 1024} KiB`,
    'requests on a connection that are not answered yet': String(LIMITS.maxPendingRequests),
    'between two requests': seconds(LIMITS.keepAliveTimeoutMs),
    'without a byte either way': seconds(LIMITS.idleTimeoutMs),
  })
  const headersOf = async (bytes: number) =>
    (await service.request('/healthz', { headers: { x: 'x'.repeat(bytes) } })).status
  const [kibibytes = '0'] = valuesUnder('Limits')['headers of a request']?.split(' ') ?? []
  expect(await headersOf(Number(kibibytes) * 1024 - 200)).toBe(200)
  expect(await headersOf(Number(kibibytes) * 1024)).toBe(431)
})

const { guard, overload } = configurationSchema.parse({ publicUrl: 'https://t.example.com', keys: [{ secret: KEY }] })

test('what load may cost', () => {
  expect(valuesUnder('Limits')).toMatchObject({
    'mean delay of the event loop (`overload.eventLoopDelay`)': seconds((overload || undefined)?.eventLoopDelay ?? 0),
    'heap (`overload.heap`)': `${(overload || undefined)?.heap} %`,
  })
})

test('when guessing is cut off', () => {
  const { accountFailures, addressFailures, window, block } = guard || {}
  expect(valuesUnder('The guard')).toEqual({
    '`accountFailures`': String(accountFailures),
    '`addressFailures`': String(addressFailures),
    '`window`': `${Number(window) / 60} min`,
    '`block`': `${Number(block) / 60} min`,
  })
})
