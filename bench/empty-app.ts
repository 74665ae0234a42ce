// What bench/start.ts compares with: an empty Fastify app, started as the service is. Not a program of its own.

import Fastify from 'fastify'

const app = Fastify()
app.get('/', async () => ({ status: 'ok' }))
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
