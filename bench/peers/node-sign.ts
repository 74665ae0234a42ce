// Bare node:http that signs a JWT for each request.

import { createHmac, createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'

const key = createSecretKey(randomBytes(32))
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const header = encode({ alg: 'HS256', typ: 'JWT' })

const server = createServer((_request, response) => {
  const now = Math.floor(Date.now() / 1000)
  const payload = encode({ jti: randomUUID(), sub: 'anna', iss: 'bench', aud: 'bench', nbf: now, exp: now + 600 })
  const signed = `${header}.${payload}`
  const body = `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length })
  response.end(body)
})
server.listen(Number(process.env.PORT), '127.0.0.1')
