// Bare node:http: answers every request with the reply that its parent set.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Reply } from './bare.ts'

let reply: Reply = { status: 404, headers: [], body: '' }

// The same keep-alive time as Trimint, so that both send the same header.
const server = createServer({ keepAliveTimeout: 72_000 }, (request, response) => {
  const answer = (): void => {
    response.writeHead(reply.status, reply.headers)
    response.end(reply.body, 'latin1')
  }
  if (request.method === 'GET') return answer()
  request.on('data', () => undefined)
  request.on('end', answer)
})

process.on('message', (next: Reply) => {
  reply = next
  process.send?.({ ready: true })
})

server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
