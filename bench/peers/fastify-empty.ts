// An empty Fastify route. A program of its own.

import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { announce } from './announce.ts'

const app = Fastify()
app.get('/', async () => ({ status: 'ok' }))
await app.listen({ host: '127.0.0.1', port: 0 })
announce((app.server.address() as AddressInfo).port)
