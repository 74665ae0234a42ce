// The runtime's limit: a bare node:http server that sends the answer it was told to, to whoever asks for whatever. A program of its own.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Reply } from './bare.ts'

let reply: Reply = { status: 404, headers: [], body: '' }

// As long as Trimint keeps connections, so that both say the same.
const server = createServer({ keepAliveTimeout: 72_000 }, (request, response) => {
  const answer = (): void => {
    response.writeHead(reply.status, reply.headers)
    response.end(reply.body, 'latin1')
  }
  if (request.method === 'GET') return answer()
  // A body has to be read, by anybody who does something with it.
  request.on('data', () => undefined)
  request.on('end', answer)
})

process.on('message', (next: Reply) => {
  reply = next
  process.send?.({ ready: true })
})

server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
