import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PlainResponse } from '../../../src/http/plain-response.ts'

const BODIES = ['', 'plain', 'ü', 'naïve', '\u00ff\u0080', 'grün 😀', 'a'.repeat(70_000), 'é'.repeat(70_000)]

const server = createServer({ ServerResponse: PlainResponse }, ({ url = '' }, response) => {
  const [, how, index] = url.split('/')
  const body = BODIES[Number(index)] ?? ''
  if (how !== 'chunked') response.writeHead(200, { 'content-length': Buffer.byteLength(body), 'x-name': 'caf\u00e9' })
  if (how === 'bytes') response.end(Buffer.from(body))
  else if (how === 'encoded') response.end(body, 'utf8')
  else response.end(body)
})

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => void server.close())

describe.each(['text', 'chunked', 'bytes', 'encoded'])('a response that ends with a body: %s', (how) => {
  test.each(BODIES.map((body, index) => [index, body.slice(0, 8)]))('%i: %j arrives as it was', async (index) => {
    const { port } = server.address() as AddressInfo
    const { body, headers } = await request(`http://127.0.0.1:${port}/${how}/${index}`)
    expect(await body.text()).toBe(BODIES[index as number])
    expect(headers['content-length']).toBe(String(Buffer.byteLength(BODIES[index as number] ?? '')))
  })
})

test('a body of more bytes than characters is never sent as if it had as many', async () => {
  const { port } = server.address() as AddressInfo
  const { body } = await request(`http://127.0.0.1:${port}/text/3`)
  expect(Buffer.from(await body.arrayBuffer())).toEqual(Buffer.from('naïve'))
})
