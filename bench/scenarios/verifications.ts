// Verifications of authentication responses: the whole route, store included, beside crypto.verify of the same kind of
// signature alone, and beside bare node:http that verifies one for each request, in turn. Every response answers another
// session, prepared before the measurement. The ratios are ones of processor time, which other programs on the machine
// disturb less: on one core, they are the ratios of the rates.

import {
  type AuthenticatorKey,
  buildAuthentication,
  buildRegistration,
  buildResponse,
  createAuthenticatorKey,
  encodeFcParams,
} from '../../test/support/uaf/assertions.ts'
import { type BareServer, startBare } from '../candidates/bare.ts'
import type { Target } from '../candidates/candidate.ts'
import { NEVISFIDO, startTrimint } from '../candidates/trimint.ts'
import { createVerification } from '../candidates/verification.ts'
import type { BenchEnvironment } from '../environment.ts'
import { formatRequest, requestOnce, TOKEN_PLACE } from '../load/http.ts'
import { formatMedians, measurePair, measureStretch, type Options, type Pair, ratioOf } from '../measure.ts'
import { formatSpread, formatVerdict, median, printTable, say, spread } from '../report.ts'

/**
 * The least rate of the whole route, as a ratio to crypto.verify alone. Over HTTP it is out of reach: bare node:http with
 * one verification for each request gets 0.54 with ECDSA and 0.33 with RSA-PSS.
 */
const TARGET = 0.6

/** Each key belongs to one user. Several keys, as responses with one key at the same time would be verified again. */
const KEYS = 64
const RESPONSES = 4_000
/** The stretch ends with the last response. */
const MAX_SECONDS = 60

/** By their numbers in FIDO's ALG_SIGN. */
const ALGORITHMS = { 'ECDSA on P-256': 1, 'RSA-PSS, 2048 bits': 3 }

const formatPost = (path: string, body: string): string => {
  const uaf = 'application/fido+uaf;charset=UTF-8'
  const headers = { 'content-type': uaf, accept: uaf }
  return formatRequest(`POST /nevisfido/uaf/1.1/${path}`, headers, body)
}

const AUTHENTICATION = { request: formatPost('authentication', TOKEN_PLACE), expect: '^\\{"statusCode":1200\\b' }

export async function runVerifications(environment: BenchEnvironment, { rounds }: Options): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const place = environment.place('verifications')
  const { appId, users } = NEVISFIDO
  const sections = { nevisfido: { appId, users, protect: [], attestation: 'surrogate' as const } }
  const store = await environment.openStore('sqlite', place.folder)
  const target = await startTrimint({ ...place, store, sections }, { requests: AUTHENTICATION })
  stack.use(target.server)
  const bare = stack.use(await startBare(environment))
  const rows: string[][] = []
  for (const [title, algorithm] of Object.entries(ALGORITHMS)) {
    say(`verifications: ${title}`)
    rows.push([title, ...(await measureAlgorithm(environment, target, bare, algorithm, rounds))])
  }
  const times = ['crypto.verify, µs', 'route, µs', 'node:http with it, µs', 'route/s']
  const ratios = ['of node:http with it', 'least to most', 'of crypto.verify', 'least to most', 'target', '']
  printTable(['verifications', ...times, ...ratios], rows)
}

async function measureAlgorithm(
  { generator }: BenchEnvironment,
  target: Target,
  bare: BareServer,
  algorithm: number,
  rounds: number,
): Promise<string[]> {
  const { port } = target.server
  const keys = Array.from({ length: KEYS }, () => createAuthenticatorKey(algorithm))
  const respondAll = (op: 'Reg' | 'Auth') =>
    Promise.all(keys.map((key, index) => respond(port, op, `${algorithm} ${index}`, key)))
  for (const response of await respondAll('Reg')) await post(port, 'registration', response)
  // A success has the same headers and the same length.
  const refused = await requestOnce(port, formatPost('authentication', '{}'))
  const bareTarget = bare.imitate({ ...refused, body: '{"statusCode":1200}' }, AUTHENTICATION, algorithm)
  const pairs: Pair[] = []
  const verifyUs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const tokens: string[] = []
    while (tokens.length < RESPONSES) tokens.push(...(await respondAll('Auth')))
    const measure = (of: Target) => () => measureStretch(generator, of, { seconds: MAX_SECONDS, tokens })
    verifyUs.push(measureVerification(algorithm))
    pairs.push(await measurePair(round, measure(target), measure(bareTarget)))
  }
  const ofVerify = spread(pairs.map(([route], round) => (verifyUs[round] ?? Number.NaN) / route.processorUs))
  return [
    median(verifyUs).toFixed(0),
    ...formatMedians(pairs, 0, ({ processorUs }) => processorUs),
    median(pairs.map(([route]) => route.rate)).toFixed(0),
    ...formatSpread(ratioOf(pairs, ({ processorUs }) => processorUs)),
    ...formatSpread(ofVerify),
    ...formatVerdict(ofVerify.median, { atLeast: TARGET }),
  ]
}

async function post(port: number, path: string, body: string): Promise<{ readonly uafRequest: string }> {
  const answer = await requestOnce(port, formatPost(path, body))
  const parsed = JSON.parse(answer.body) as { readonly statusCode: number; readonly uafRequest: string }
  if (parsed.statusCode !== 1200) throw new Error(`${path} answered ${parsed.statusCode}; expected 1200`)
  return parsed
}

/** Creates a session and returns the body that answers it. */
async function respond(port: number, op: 'Reg' | 'Auth', username: string, key: AuthenticatorKey): Promise<string> {
  const operation = op === 'Reg' ? 'registration' : 'authentication'
  const context = JSON.stringify({ username })
  const { uafRequest } = await post(port, `request/${operation}`, JSON.stringify({ op, context }))
  const [{ header, challenge }] = JSON.parse(uafRequest)
  const fcParams = encodeFcParams({ challenge })
  const build = op === 'Reg' ? buildRegistration : buildAuthentication
  // A counter of 0: the responses hold in any order.
  const assertions = [build({ key, keyId: Buffer.alloc(32, username), fcParams, counter: 0 })]
  const response = buildResponse({ op, assertions, serverData: header.serverData, fcParams })
  return JSON.stringify({ uafResponse: JSON.stringify([response]) })
}

/** Returns microseconds of processor time for one verification. */
function measureVerification(algorithm: number): number {
  const verifyOne = createVerification(algorithm)
  const began = process.cpuUsage()
  for (let count = 0; count < RESPONSES; count++) verifyOne()
  const { user, system } = process.cpuUsage(began)
  return (user + system) / RESPONSES
}
