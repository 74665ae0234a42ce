// Bare node:http: answers every request with the reply that its parent set, after the verification that it set.

import { createServer } from 'node:http'
import type { Reply } from './bare.ts'
import { createVerification } from './verification.ts'

let reply: Reply = { status: 200, headers: ['content-length', '0'], body: '' }
let verify = (): void => undefined

// The same keep-alive time as Trimint, so that both send the same header.
const server = createServer({ keepAliveTimeout: 72_000 }, (request, response) => {
  const answer = (): void => {
    verify()
    response.writeHead(reply.status, reply.headers)
    response.end(reply.body, 'latin1')
  }
  if (request.method === 'GET') return answer()
  request.on('data', () => undefined)
  request.on('end', answer)
})

process.on('message', (next: Reply) => {
  reply = next
  verify = next.algorithm === undefined ? () => undefined : createVerification(next.algorithm)
  process.send?.({ ready: true })
})

server.listen(Number(process.env.PORT), '127.0.0.1')
