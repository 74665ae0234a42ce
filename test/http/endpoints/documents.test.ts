import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import Fastify from 'fastify'
import { request } from 'undici'
import { expect, test } from 'vitest'
import { createDocument, sendDocument } from '../../../src/endpoints/docs/document.ts'

/** As many documents as a process sends at a time (SECURITY.md). */
const MAX_SENDING = 64

test('serves documents after more clients than the limit have left while one was loaded', async () => {
  const document = createDocument(Buffer.from('document'), 'text/plain', 'no-cache')
  const app = Fastify()
  let answered = 0
  app.get('/slow', async (asked, reply) => {
    await once(asked.raw.socket, 'close')
    answered += 1
    return sendDocument(document, asked, reply)
  })
  app.get('/', async (asked, reply) => sendDocument(document, asked, reply))
  await app.listen({ port: 0 })
  const { port } = app.server.address() as AddressInfo

  for (let client = 0; client <= MAX_SENDING; client++) {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n', () => socket.destroy())
    await once(socket, 'close')
  }
  await expect.poll(() => answered).toBe(MAX_SENDING + 1)
  const { statusCode, body } = await request(`http://127.0.0.1:${port}/`)

  expect(statusCode).toBe(200)
  expect(await body.text()).toBe('document')
  await app.close()
})
