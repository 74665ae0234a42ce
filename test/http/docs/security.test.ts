import { expect, test } from 'vitest'
import { configurationSchema } from '../../../src/config/schema.ts'
import { MAX_PENDING_REQUESTS } from '../../../src/http/listener.ts'
import { readTable } from '../../support/markdown.ts'
import { KEY, startService } from '../../support/service.ts'

// The numbers that the page on security gives are those that are in force.

const valuesUnder = (heading: string): Record<string, string> =>
  Object.fromEntries(readTable('docs/security.md', heading).map(([limit = '', value = '']) => [limit, value]))

const seconds = (milliseconds: number): string => `${milliseconds / 1000} s`

test('what a connection may cost', async () => {
  await using service = await startService()
  const { server } = service.listener
  expect(valuesUnder('Limits')).toMatchObject({
    'until they are in': seconds(server.headersTimeout),
    'until the whole request is in': seconds(server.requestTimeout),
    body: `${Number(service.app.initialConfig.bodyLimit) / 1024} KiB`,
    'requests on a connection that are not answered yet': String(MAX_PENDING_REQUESTS),
    'between two requests': seconds(server.keepAliveTimeout),
    'without a byte either way': seconds(server.timeout),
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
