// Bare node:http: answers every request with the reply that its parent set, after the verification that it set.

import { createPublicKey, verify } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Reply, Verification } from './bare.ts'

let reply: Reply = { status: 404, headers: [], body: '' }
let holds = (): boolean => true

function prepare({ key, options, text, signature }: Verification): () => boolean {
  const [data, bytes] = [Buffer.from(text), Buffer.from(signature, 'base64')]
  const verifying = { key: createPublicKey(key), ...options }
  return () => verify('sha256', data, verifying, bytes)
}

// The same keep-alive time as Trimint, so that both send the same header.
const server = createServer({ keepAliveTimeout: 72_000 }, (request, response) => {
  const answer = (): void => {
    if (!holds()) throw new Error('the signature does not hold')
    response.writeHead(reply.status, reply.headers)
    response.end(reply.body, 'latin1')
  }
  if (request.method === 'GET') return answer()
  request.on('data', () => undefined)
  request.on('end', answer)
})

process.on('message', (next: Reply) => {
  reply = next
  holds = next.verification ? prepare(next.verification) : () => true
  process.send?.({ ready: true })
})

server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
