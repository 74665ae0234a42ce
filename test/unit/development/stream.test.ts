import { once } from 'node:events'
import { createConnection } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import { expect, test } from 'vitest'
import type { JournalRecord } from '../../../src/development/journal/schema.ts'
import { type Stream, serveStream } from '../../../src/development/journal/stream.ts'

test('L19: cuts off a reader that does not read', async () => {
  const app = Fastify()
  const streams = new Set<Stream>()
  let listener: (record: JournalRecord) => void = () => undefined
  serveStream(app, '/stream', {
    streams,
    accept: () => () => true,
    async follow(given) {
      listener = given
      return async () => undefined
    },
  })
  const url = await app.listen({ port: 0 })
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => undefined).pause()
  await once(socket, 'connect')
  socket.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await expect.poll(() => streams.size).toBe(1)
  // The kernel buffers up to 36 MB.
  const record = { body: 'x'.repeat(1024 * 1024) } as unknown as JournalRecord
  for (let sent = 0; sent < 64 && streams.size > 0; sent++) {
    listener(record)
    await turn()
  }
  await expect.poll(() => streams.size).toBe(0)
  socket.destroy()
  await app.close()
})
