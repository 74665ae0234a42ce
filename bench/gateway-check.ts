// How many checks a second a gateway gets answered on SQLite and on Redis, everything on (signature, revocations, durable counts,
// audit log), as a ratio to GET /healthz of the same server in the same run. 64 requests are in flight all the time.
//
//   node bench/gateway-check.ts [--seconds N]      (N seconds for each phase, 2 unless told otherwise; needs redis-server)

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { startDurableRedis } from './redis.ts'
import {
  createAccounts,
  loginRequest,
  namesOf,
  percentile,
  printTable,
  RIGHT_PASSWORD,
  readCount,
  startServer,
} from './support.ts'

const IN_FLIGHT = 64
const ROUNDS = 5

/** Checks that a token of the counted kind is good for. */
const TRIES = 15

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } })
const seconds = readCount(values.seconds, 60)

const APP_SECRET = 'the secret of the app'
const GATEWAY_SECRET = 'the secret of the gateway'

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

interface Request {
  readonly path: string
  readonly method: 'GET' | 'POST'
  readonly headers?: Record<string, string>
  readonly body?: string
}

const HEALTH: Request = { path: '/healthz', method: 'GET' }
const ISSUE: Request = {
  path: `/token?id=app-1&bcid=bws.112.12345&task=verify&maxtries=${TRIES}`,
  method: 'GET',
  headers: { authorization: basic('app-1', APP_SECRET) },
}
const check = (path: string, token: string): Request => ({
  path: `/authz/${path}`,
  method: 'GET',
  headers: { authorization: `Bearer ${token}` },
})
const introspection = (token: string): Request => ({
  path: '/introspect',
  method: 'POST',
  headers: {
    authorization: basic('gateway', GATEWAY_SECRET),
    'content-type': 'application/x-www-form-urlencoded',
  },
  body: `token=${token}`,
})

async function ask(pool: Pool, request: Request): Promise<string> {
  const { statusCode, body } = await pool.request(request)
  const text = await body.text()
  if (statusCode !== 200 || text === '{"active":false}') {
    throw new Error(`an answer that is none: ${request.path} ${statusCode} ${text}`)
  }
  return text
}

/** Answers a second. */
async function measure(pool: Pool, nextRequest: () => Request): Promise<number> {
  const begin = performance.now()
  const end = begin + seconds * 1000
  let answers = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      await ask(pool, nextRequest())
      answers += 1
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
  return answers / ((performance.now() - begin) / 1000)
}

async function issue(pool: Pool, count: number): Promise<string[]> {
  const tokens: string[] = []
  const caller = async (): Promise<void> => {
    while (tokens.length < count) tokens.push(await ask(pool, ISSUE))
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
  return tokens
}

/** Gives each token as often as it has tries; tokens that are in use at the same time differ, as those of several users do. */
function takeTurns(tokens: readonly string[]): () => Request {
  let turn = 0
  return () => {
    const group = Math.floor(turn / (IN_FLIGHT * TRIES))
    const token = tokens[group * IN_FLIGHT + (turn % IN_FLIGHT)]
    if (token === undefined) throw new Error('there are not enough tokens')
    turn += 1
    return check('bws/verify', token)
  }
}

async function measureStore(name: string, store: string): Promise<string[][]> {
  await using server = await startServer({
    store,
    bws: { apps: [{ id: 'app-1', secret: `plain:${APP_SECRET}`, bcids: '*' }] },
    idscan: { accounts: await createAccounts('anna', 1) },
    resourceServers: [{ id: 'gateway', secret: `plain:${GATEWAY_SECRET}` }],
  })
  const pool = new Pool(server.url, { connections: IN_FLIGHT })
  const [username = ''] = namesOf('anna', 1)
  const login = JSON.parse(await ask(pool, loginRequest(username, RIGHT_PASSWORD))) as { access_token: string }
  const bwsToken = await ask(pool, ISSUE)

  const always = (request: Request) => async () => () => request
  /** What is measured, made ready with the rate that nothing can be faster than. */
  const kinds: Record<string, (rate: number) => Promise<() => Request>> = {
    'IDscan check': always(check('idscan/scanning', login.access_token)),
    'BWS upload': always(check('bws/upload', bwsToken)),
    'BWS own task, counted': async (rate) =>
      takeTurns(await issue(pool, Math.ceil((2 * rate * seconds) / TRIES) + IN_FLIGHT)),
    'introspect, IDscan': always(introspection(login.access_token)),
    'introspect, BWS': always(introspection(bwsToken)),
  }

  interface Pair {
    readonly health: number
    readonly checks: number
  }

  /** Each right after a GET /healthz of its own, so that both meet the same machine. */
  async function measurePair(prepare: (rate: number) => Promise<() => Request>): Promise<Pair> {
    const health = await measure(pool, () => HEALTH)
    return { health, checks: await measure(pool, await prepare(health)) }
  }

  const pairs = new Map(Object.keys(kinds).map((kind): [string, Pair[]] => [kind, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [kind, prepare] of Object.entries(kinds)) {
      const pair = await measurePair(prepare)
      // The first round is for warming up.
      if (round > 0) pairs.get(kind)?.push(pair)
    }
  }
  await pool.close()

  const median = (list: number[]) => percentile(list, 0.5)
  return [...pairs].map(([kind, measured]) => {
    const ratios = measured.map(({ health, checks }) => checks / health)
    return [
      `${kind}, ${name}`,
      median(measured.map(({ health }) => health)).toFixed(0),
      median(measured.map(({ checks }) => checks)).toFixed(0),
      median(ratios).toFixed(2),
      `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`,
    ]
  })
}

const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-store-'))
try {
  await using redis = await startDurableRedis()
  const rows = [
    ...(await measureStore('SQLite', `sqlite:${join(folder, 'trimint.db')}`)),
    ...(await measureStore('Redis', redis.url)),
  ]
  printTable(['check, store', 'healthz/s', 'checks/s', 'ratio', 'least to most'], rows)
} finally {
  await rm(folder, { recursive: true, force: true })
}
