// Verifications of authentication responses: the whole route, store included, beside crypto.verify of the same kind of
// signature alone, and beside bare node:http that verifies one for each request, in turn. Every response answers another
// session, prepared before the measurement. The ratios are ones of processor time, which other programs on the machine
// disturb less: on one core, they are the ratios of the rates.

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
import { startBare, type Verification } from '../candidates/bare.ts'
import { startTrimintProcess } from '../candidates/trimint.ts'
import { formatRange, formatVerdict, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import { formatRequest, requestOnce } from '../load/http.ts'
import type { Repetition } from '../measure.ts'
import type { MeasuredProcess } from '../process.ts'
import { median, spread } from '../statistics.ts'

/**
 * The least rate of the whole route, as a ratio to crypto.verify alone. Over HTTP it is out of reach: bare node:http with
 * one verification for each request gets 0.54 with ECDSA and 0.33 with RSA-PSS.
 */
const TARGET = 0.6

/** Each key belongs to one user. Several keys, as responses with one key at the same time would be verified again. */
const KEYS = 64
const CONNECTIONS = 64
const RESPONSES = 4_000

/** As long as what an authenticator signs. */
const SIGNED = 'x'.repeat(200)

const UAF = 'application/fido+uaf;charset=UTF-8'
const PATH = '/nevisfido/uaf/1.1/authentication'
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
  const bare = stack.use(await startBare(environment))
  const barePool = new Pool(`http://127.0.0.1:${bare.port}`, { connections: CONNECTIONS })
  stack.defer(() => barePool.close())
  // A success has the same headers and the same length.
  const refused = await requestOnce(port, formatRequest({ method: 'POST', path: PATH, headers: HEADERS, body: '{}' }))
  const answer = { ...refused, body: '{"statusCode":1200}' }

  const rows: string[][] = []
  for (const { title, algorithm } of ALGORITHMS) {
    const keys = Array.from({ length: KEYS }, () => createAuthenticatorKey(algorithm))
    await Promise.all(keys.map((key, user) => register(pool, key, `${algorithm} ${user}`)))
    const verification = createVerification(keys[0] as AuthenticatorKey)
    await bare.imitate(answer, verification)
    const results: { verifyUs: number; httpUs: number; routeUs: number; rate: number }[] = []
    for (let round = 0; round < rounds; round++) {
      say(`verifications: ${title}, round ${round + 1} of ${rounds}`)
      const bodies = await prepare(pool, keys, algorithm)
      const verifyUs = measureVerify(keys[0] as AuthenticatorKey)
      const { us: httpUs } = await measureRoute(bare.process, barePool, bodies)
      const { us: routeUs, rate } = await measureRoute(server, pool, bodies)
      results.push({ verifyUs, httpUs, routeUs, rate })
    }
    const ratio = spread(results.map(({ verifyUs, routeUs }) => verifyUs / routeUs))
    const ofHttp = spread(results.map(({ httpUs, routeUs }) => httpUs / routeUs))
    rows.push([
      title,
      median(results.map(({ verifyUs }) => verifyUs)).toFixed(0),
      median(results.map(({ httpUs }) => httpUs)).toFixed(0),
      median(results.map(({ routeUs }) => routeUs)).toFixed(0),
      median(results.map(({ rate }) => rate)).toFixed(0),
      `${ofHttp.median.toFixed(2)} (${formatRange(ofHttp)})`,
      ratio.median.toFixed(2),
      formatRange(ratio),
      `≥ ${TARGET.toFixed(2)}`,
      formatVerdict(ratio.median >= TARGET),
    ])
  }
  const times = ['crypto.verify, µs', 'node:http with it, µs', 'route, µs', 'route/s']
  const ratios = ['of node:http with it', 'of crypto.verify', 'least to most', 'target', '']
  printTable(['verifications', ...times, ...ratios], rows)
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

/** Returns microseconds of processor time for one response, and responses a second. */
async function measureRoute(server: MeasuredProcess, pool: Pool, bodies: string[]) {
  const waiting = [...bodies]
  const before = await server.processorSeconds()
  const began = performance.now()
  const client = async () => {
    for (let body = waiting.pop(); body; body = waiting.pop()) await post(pool, 'authentication', body)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  const rate = bodies.length / ((performance.now() - began) / 1000)
  return { us: (((await server.processorSeconds()) - before) / bodies.length) * 1e6, rate }
}

function createVerification({ algorithm, privateKey, publicKey }: AuthenticatorKey): Verification {
  return {
    key: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    options: signatureOptions(algorithm),
    text: SIGNED,
    signature: signAs(algorithm, privateKey, Buffer.from(SIGNED)).toString('base64'),
  }
}

/** Returns microseconds of processor time for one verification, with the key imported already. */
function measureVerify({ algorithm, privateKey, publicKey }: AuthenticatorKey): number {
  const data = Buffer.from(SIGNED)
  const signature = signAs(algorithm, privateKey, data)
  const options = { key: publicKey, ...signatureOptions(algorithm) }
  const began = process.cpuUsage()
  for (let count = 0; count < RESPONSES; count++) {
    if (!verify('sha256', data, options, signature)) throw new Error('the signature does not hold')
  }
  const { user, system } = process.cpuUsage(began)
  return (user + system) / RESPONSES
}
