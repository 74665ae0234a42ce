// Shows that whoever gives a wrong secret cannot tell by time whether the id exists, wherever credentials are checked: BWS's
// app, IDscan's account, nevisFIDO's client, the resource server of introspection. For IDscan, neither whether the account is
// disabled (docs/contracts/idscan.md, I23).
//
//   node bench/credential-timing.ts [--samples 5000] [--passwords 1000] [--only bws,idscan,nevisfido,introspection]
//
// One request at a time over one connection, in rounds: each round asks once for each class, in random order, so that whatever
// else the machine does hits all classes alike. There are two classes of unknown ids: what these two differ by is
// chance (A/A), the yardstick for the rest. The effect size is Cliff's delta, see statistics.ts. A pair can be told apart, and
// the program fails, where its interval does not hold 0 and its delta is beyond the interval of the A/A pair. An interval of 95 %
// is wrong once in twenty times, so a pair that fails is to be measured again before it is believed.
// The guard is on, its limits out of reach: what it does for a wrong secret is part of what is measured.

import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { Client, type Dispatcher } from 'undici'
import { type Comparison, compare } from './statistics.ts'
import {
  createAccounts,
  loginRequest,
  namesOf,
  percentile,
  printTable,
  RIGHT_PASSWORD,
  readCount,
  startServer,
  WRONG_PASSWORD,
} from './support.ts'

const NAMES = 8
/** The first rounds are not counted: the connection is opened and code is compiled in them. */
const WARM_UP_ROUNDS = 300
const WARM_UP_PASSWORDS = 20
const OUT_OF_REACH = 1_000_000

/** Names, and with them requests, are equally long. */
const KNOWN = namesOf('enabled', NAMES)
const UNKNOWN = namesOf('missing', NAMES)
/** Names of their own: those that are asked for twice as often are answered from warmer caches. */
const UNKNOWN_TOO = namesOf('nowhere', NAMES)
const DISABLED = namesOf('stopped', NAMES)

interface Class {
  readonly label: string
  readonly names: readonly string[]
  readonly secret: string
}

interface Check {
  readonly name: string
  readonly rounds: number
  readonly warmUp: number
  readonly classes: readonly Class[]
  readonly request: (name: string, secret: string) => Dispatcher.RequestOptions
  readonly refused: (status: number, body: string) => boolean
}

const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: '5000' },
    passwords: { type: 'string', default: '1000' },
    only: { type: 'string', default: 'bws,idscan,nevisfido,introspection' },
  },
})
const quick = { rounds: readCount(values.samples, 100_000), warmUp: WARM_UP_ROUNDS }
const slow = { rounds: readCount(values.passwords, 100_000), warmUp: WARM_UP_PASSWORDS }

const YARDSTICK = [
  { label: 'unknown id', names: UNKNOWN, secret: WRONG_PASSWORD },
  { label: 'other unknown id', names: UNKNOWN_TOO, secret: WRONG_PASSWORD },
]
const CLASSES = [...YARDSTICK, { label: 'wrong secret', names: KNOWN, secret: WRONG_PASSWORD }]

const CHECKS: readonly Check[] = [
  {
    name: 'bws',
    ...quick,
    classes: CLASSES,
    request: (name, secret) => ({
      path: `/token?id=${name}&bcid=bws.1.1`,
      method: 'GET',
      headers: { authorization: basic(name, secret) },
    }),
    refused: (status) => status === 401,
  },
  {
    name: 'nevisfido',
    ...quick,
    classes: CLASSES,
    request: (name, secret) => ({
      path: '/nevisfido/token/create/registration',
      method: 'POST',
      headers: {
        'content-type': 'application/fido+uaf;charset=UTF-8',
        accept: 'application/json',
        authorization: basic(name, secret),
      },
      body: JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
    }),
    refused: (status, body) => status === 200 && body.includes('1401'),
  },
  {
    name: 'introspection',
    ...quick,
    classes: CLASSES,
    request: (name, secret) => ({
      path: '/introspect',
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic(name, secret) },
      body: 'token=none',
    }),
    refused: (status) => status === 401,
  },
  {
    name: 'idscan',
    ...slow,
    classes: [...CLASSES, { label: 'disabled account', names: DISABLED, secret: RIGHT_PASSWORD }],
    request: loginRequest,
    refused: (status, body) => status === 400 && body.includes('invalid_grant'),
  },
]

const asked = values.only.split(',')
for (const name of asked) if (!CHECKS.some((check) => check.name === name)) throw new Error(`${name} is no check`)

// As `plain:` a secret of a machine would be configured as the same digest.
const secret = `sha256:${createHash('sha256').update(RIGHT_PASSWORD).digest('hex')}`
await using server = await startServer({
  // However busy this machine is.
  overload: false,
  guard: { accountFailures: OUT_OF_REACH, addressFailures: OUT_OF_REACH, window: '1h', block: '1s' },
  bws: { apps: KNOWN.map((id) => ({ id, secret, bcids: '*' })) },
  idscan: {
    accounts: [...(await createAccounts('enabled', NAMES)), ...(await createAccounts('stopped', NAMES, true))],
  },
  nevisfido: {
    appId: 'https://fido.example.com/facets',
    users: '*',
    clients: KNOWN.map((id) => ({ id, secret, users: '*' })),
  },
  resourceServers: KNOWN.map((id) => ({ id, secret })),
})
for (const check of CHECKS.filter(({ name }) => asked.includes(name))) {
  const client = new Client(server.url, { pipelining: 1 })
  report(check, await measure(client, check))
  await client.destroy()
}

function basic(id: string, password: string): string {
  return `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`
}

/** Milliseconds, for each class. */
async function measure(client: Client, check: Check): Promise<number[][]> {
  const times: number[][] = check.classes.map(() => [])
  for (let round = 0; round < check.warmUp + check.rounds; round += 1) {
    for (const [index, { names, secret: given }] of shuffle([...check.classes.entries()])) {
      const time = await timeRefusal(client, check, names[round % NAMES] ?? '', given)
      if (round >= check.warmUp) times[index]?.push(time)
    }
  }
  return times
}

async function timeRefusal(client: Client, check: Check, name: string, given: string): Promise<number> {
  const request = check.request(name, given)
  const start = performance.now()
  const { statusCode, body } = await client.request(request)
  const text = await body.text()
  const time = performance.now() - start
  if (!check.refused(statusCode, text)) throw new Error(`unexpected reply: ${statusCode} ${text}`)
  return time
}

/** Fisher and Yates. */
function shuffle<T>(values: readonly T[]): T[] {
  const rest = [...values]
  return values.flatMap(() => rest.splice(Math.floor(Math.random() * rest.length), 1))
}

function report({ name, rounds, classes }: Check, times: readonly number[][]): void {
  const [first = [], ...others] = times
  const compared = others.map((other) => compare(other, first))
  const [chance] = compared
  process.stdout.write(
    `\n${name}: ${rounds} requests of each class. Times in milliseconds, compared with the first line.\n`,
  )
  printTable(
    ['class', 'median', 'p95', 'difference of medians', "Cliff's delta", '95 % interval', 'told apart'],
    classes.map(({ label }, index) => {
      const ofClass = times[index] ?? []
      const medians = [percentile(ofClass, 0.5).toFixed(3), percentile(ofClass, 0.95).toFixed(3)]
      const comparison = compared[index - 1]
      if (!comparison || !chance) return [label, ...medians, '', '', '', '']
      const { difference, delta, margin } = comparison
      const interval = `${(delta - margin).toFixed(3)} to ${(delta + margin).toFixed(3)}`
      return [label, ...medians, difference.toFixed(3), delta.toFixed(3), interval, judge(comparison, chance)]
    }),
  )
}

function judge(comparison: Comparison, chance: Comparison): string {
  if (comparison === chance) return 'A/A'
  const size = Math.abs(comparison.delta)
  if (size <= comparison.margin || size <= Math.abs(chance.delta) + chance.margin) return 'no'
  process.exitCode = 1
  return 'YES'
}
