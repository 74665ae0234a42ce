// Verifications of authentication responses: the whole route, store included, beside crypto.verify of the same kind of
// signature alone, in turn. Every response answers another session, prepared before the measurement. The ratio is one of
// processor time, which other programs on the machine disturb less: on one core, it is the ratio of the rates.

import { verify } from 'node:crypto'
import { join } from 'node:path'
import { Pool } from 'undici'
import {
  type AuthenticatorKey,
  buildAuthentication,
  buildRegistration,
  buildResponse,
  createAuthenticatorKey,
  encodeFcParams,
  signAs,
  signatureOptions,
} from '../../test/support/uaf/assertions.ts'
import { startTrimintProcess } from '../candidates/trimint.ts'
import { formatRange, formatVerdict, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import type { Repetition } from '../measure.ts'
import { median, spread } from '../statistics.ts'

/** The least rate of the whole route, as a ratio to crypto.verify alone. */
const TARGET = 0.6

/** Each key belongs to one user. Several keys, as responses with one key at the same time would be verified again. */
const KEYS = 64
const CONNECTIONS = 64
const RESPONSES = 4_000

const UAF = 'application/fido+uaf;charset=UTF-8'
const HEADERS = { 'content-type': UAF, accept: UAF }

const ALGORITHMS = [
  { title: 'ECDSA on P-256', algorithm: 1 },
  { title: 'RSA-PSS, 2048 bits', algorithm: 3 },
]

export async function runVerifications(environment: BenchEnvironment, { rounds }: Repetition): Promise<void> {
  const folder = join(environment.folder, 'verifications')
  const sections = {
    nevisfido: {
      appId: 'https://fido.example.com/nevisfido/uaf/1.1/facets',
      protect: [],
      users: '*' as const,
      attestation: 'surrogate' as const,
    },
  }
  const store = `sqlite:${join(folder, 'trimint.db')}`
  const { port, process: server } = await startTrimintProcess({
    core: environment.cores.server,
    folder,
    store,
    sections,
  })
  await using stack = new AsyncDisposableStack()
  stack.use(server)
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS })
  stack.defer(() => pool.close())

  const rows: string[][] = []
  for (const { title, algorithm } of ALGORITHMS) {
    const keys = Array.from({ length: KEYS }, () => createAuthenticatorKey(algorithm))
    await Promise.all(keys.map((key, user) => register(pool, key, `${algorithm} ${user}`)))
    const pairs: { bareUs: number; routeUs: number; rate: number }[] = []
    for (let round = 0; round < rounds; round++) {
      say(`verifications: ${title}, round ${round + 1} of ${rounds}`)
      const bodies = await prepare(pool, keys, algorithm)
      const bareUs = measureBare(keys[0] as AuthenticatorKey)
      const before = await server.processorSeconds()
      const rate = await measureRoute(pool, bodies)
      const routeUs = (((await server.processorSeconds()) - before) / RESPONSES) * 1e6
      pairs.push({ bareUs, routeUs, rate })
    }
    const ratio = spread(pairs.map(({ bareUs, routeUs }) => bareUs / routeUs))
    rows.push([
      title,
      median(pairs.map(({ bareUs }) => bareUs)).toFixed(0),
      median(pairs.map(({ routeUs }) => routeUs)).toFixed(0),
      median(pairs.map(({ rate }) => rate)).toFixed(0),
      ratio.median.toFixed(2),
      formatRange(ratio),
      `≥ ${TARGET.toFixed(2)}`,
      formatVerdict(ratio.median >= TARGET),
    ])
  }
  const head = ['verifications', 'crypto.verify, µs', 'route, µs', 'route/s', 'ratio', 'least to most', 'target', '']
  printTable(head, rows)
}

async function post(pool: Pool, path: string, body: string): Promise<{ readonly uafRequest: string }> {
  const { body: reply } = await pool.request({
    method: 'POST',
    path: `/nevisfido/uaf/1.1/${path}`,
    headers: HEADERS,
    body,
  })
  const parsed = (await reply.json()) as { readonly statusCode: number; readonly uafRequest: string }
  if (parsed.statusCode !== 1200) throw new Error(`${path} answered ${parsed.statusCode}; expected 1200`)
  return parsed
}

/** Creates a session and returns the body that answers it. */
async function ask(
  pool: Pool,
  operation: 'registration' | 'authentication',
  username: string,
  build: (fcParams: string) => Buffer,
): Promise<string> {
  const op = operation === 'registration' ? 'Reg' : 'Auth'
  const context = JSON.stringify({ username })
  const { uafRequest } = await post(pool, `request/${operation}`, JSON.stringify({ op, context }))
  const [{ header, challenge }] = JSON.parse(uafRequest)
  const fcParams = encodeFcParams({ challenge })
  const { serverData } = header
  const response = buildResponse({ op, assertions: [build(fcParams)], serverData, fcParams })
  return JSON.stringify({ uafResponse: JSON.stringify([response]) })
}

const keyIdOf = (username: string): Buffer => Buffer.alloc(32, username)

async function register(pool: Pool, key: AuthenticatorKey, username: string): Promise<void> {
  const keyId = keyIdOf(username)
  const body = await ask(pool, 'registration', username, (fcParams) =>
    buildRegistration({ key, keyId, fcParams, counter: 0 }),
  )
  await post(pool, 'registration', body)
}

async function prepare(pool: Pool, keys: readonly AuthenticatorKey[], algorithm: number): Promise<string[]> {
  const bodies: string[] = []
  for (let from = 0; from < RESPONSES; from += KEYS) {
    const asked = keys.map((key, user) => {
      const username = `${algorithm} ${user}`
      const keyId = keyIdOf(username)
      // A counter of 0: the responses hold in any order.
      return ask(pool, 'authentication', username, (fcParams) =>
        buildAuthentication({ key, keyId, fcParams, counter: 0 }),
      )
    })
    bodies.push(...(await Promise.all(asked)))
  }
  return bodies.slice(0, RESPONSES)
}

/** Returns responses a second. */
async function measureRoute(pool: Pool, bodies: string[]): Promise<number> {
  const waiting = [...bodies]
  const began = performance.now()
  const client = async () => {
    for (let body = waiting.pop(); body; body = waiting.pop()) await post(pool, 'authentication', body)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  return bodies.length / ((performance.now() - began) / 1000)
}

/** Returns microseconds of processor time for one verification, with the key imported already. */
function measureBare({ algorithm, privateKey, publicKey }: AuthenticatorKey): number {
  const data = Buffer.alloc(200, 1)
  const signature = signAs(algorithm, privateKey, data)
  const options = { key: publicKey, ...signatureOptions(algorithm) }
  const began = process.cpuUsage()
  for (let count = 0; count < RESPONSES; count++) {
    if (!verify('sha256', data, options, signature)) throw new Error('the signature does not hold')
  }
  const { user, system } = process.cpuUsage(began)
  return (user + system) / RESPONSES
}
