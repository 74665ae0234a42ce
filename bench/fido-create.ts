// How many tokens a second POST /nevisfido/token/create issues on SQLite and on Redis, everything on (validation, durable
// store, audit log), as a ratio to GET /healthz of the same server in the same run. 64 requests are in flight all the time.
//
//   node bench/fido-create.ts [--seconds N]        (N seconds for each phase, 3 unless told otherwise; needs redis-server)

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { startDurableRedis } from './redis.ts'
import { percentile, printTable, readCount, startServer } from './support.ts'

const IN_FLIGHT = 64
const ROUNDS = 5

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '3' } } })
const seconds = readCount(values.seconds, 60)

const HEALTH = { path: '/healthz', method: 'GET' as const }
const CREATE = {
  path: '/nevisfido/token/create/registration',
  method: 'POST' as const,
  headers: { 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/json' },
  body: JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
}

type Request = typeof HEALTH | typeof CREATE

/** Answers a second. */
async function measure(pool: Pool, request: Request): Promise<number> {
  const begin = performance.now()
  const end = begin + seconds * 1000
  let answers = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      const { statusCode, body } = await pool.request(request)
      const text = await body.text()
      if (statusCode !== 200 || text.endsWith(':1500}'))
        throw new Error(`an answer that is none: ${statusCode} ${text}`)
      answers += 1
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
  return answers / ((performance.now() - begin) / 1000)
}

async function compare(name: string, store: string): Promise<string[]> {
  await using server = await startServer({
    store,
    nevisfido: { appId: 'https://fido.example.com/facets', protect: [], users: '*' },
  })
  const pool = new Pool(server.url, { connections: IN_FLIGHT })
  await measure(pool, CREATE)
  const rounds: { creates: number; health: number }[] = []
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push({ health: await measure(pool, HEALTH), creates: await measure(pool, CREATE) })
  }
  await pool.close()
  const ratios = rounds.map(({ creates, health }) => creates / health)
  const median = (list: number[]) => percentile(list, 0.5)
  return [
    name,
    median(rounds.map(({ health }) => health)).toFixed(0),
    median(rounds.map(({ creates }) => creates)).toFixed(0),
    median(ratios).toFixed(2),
    `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`,
  ]
}

const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-store-'))
try {
  await using redis = await startDurableRedis()
  const rows = [
    await compare('SQLite, synced to disk', `sqlite:${join(folder, 'trimint.db')}`),
    await compare('Redis, appendfsync always', redis.url),
  ]
  printTable(['store', 'healthz/s', 'creates/s', 'ratio', 'least to most'], rows)
} finally {
  await rm(folder, { recursive: true, force: true })
}
