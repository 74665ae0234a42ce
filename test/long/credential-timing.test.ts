import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hash } from '@node-rs/argon2'
import { Client, type Dispatcher } from 'undici'
import { expect, test } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { startProcess } from '../support/process.ts'
import { KEY } from '../support/service.ts'
import { compare } from './cliffs-delta.ts'

// Whether the time of a refusal tells an unknown id from a wrong secret, wherever Trimint checks credentials.
//
// One connection, one request at a time, in rounds: each round sends one request of each class in random order, so that
// other load on the machine hits all classes alike. Two classes are of unknown ids: the difference between these two is
// chance (A/A). Another class differs if its effect size excludes 0 and exceeds the A/A effect with its margin. A 95 %
// interval errs once in twenty times, so a class fails only if it differs in each of three measurements. Figures for a
// quiet machine: TRIMINT_TIMING_ROUNDS=20000.

const ROUNDS = Number(process.env.TRIMINT_TIMING_ROUNDS ?? 5_000)
/** argon2id makes a login cost 12 ms, whatever the name. */
const LOGIN_ROUNDS = Math.ceil(ROUNDS / 10)
/** Not counted: the connection opens and V8 optimises. */
const WARM_UP_ROUNDS = 300
const LOGIN_WARM_UP_ROUNDS = 20
const MEASUREMENTS = 3
const TIMEOUT_MS = 1_800_000

/** Of equal length, so that requests and replies have equal sizes. */
const RIGHT = 'right-password'
const WRONG = 'wrong-password'

const NAMES = 8
const namesOf = (name: string): string[] => Array.from({ length: NAMES }, (_, index) => `${name}-${index}`)

const KNOWN = namesOf('enabled')
const DISABLED = namesOf('stopped')
const UNKNOWN = namesOf('missing')
/** Names that differ from {@link UNKNOWN}: a name that is sent twice as often meets warmer caches. */
const UNKNOWN_TOO = namesOf('nowhere')

interface Class {
  readonly label: string
  readonly names: readonly string[]
  readonly secret: string
}

const CLASSES: readonly Class[] = [
  { label: 'unknown id', names: UNKNOWN, secret: WRONG },
  { label: 'other unknown id', names: UNKNOWN_TOO, secret: WRONG },
  { label: 'wrong secret', names: KNOWN, secret: WRONG },
]

interface Place {
  readonly place: string
  readonly rounds: number
  readonly warmUp: number
  readonly classes: readonly Class[]
  readonly request: (name: string, secret: string) => Dispatcher.RequestOptions
  readonly isRefused: (status: number, body: string) => boolean
}

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

const PLACES: readonly Place[] = [
  {
    place: 'an app at BWS',
    rounds: ROUNDS,
    warmUp: WARM_UP_ROUNDS,
    classes: CLASSES,
    request: (name, secret) => ({
      path: `/token?id=${name}&bcid=bws.1.1`,
      method: 'GET',
      headers: { authorization: basic(name, secret) },
    }),
    isRefused: (status) => status === 401,
  },
  {
    place: 'a client of nevisFIDO',
    rounds: ROUNDS,
    warmUp: WARM_UP_ROUNDS,
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
    isRefused: (status, body) => status === 200 && body.includes('1401'),
  },
  {
    place: 'a resource server at introspection',
    rounds: ROUNDS,
    warmUp: WARM_UP_ROUNDS,
    classes: CLASSES,
    request: (name, secret) => ({
      path: '/introspect',
      method: 'POST',
      headers: { ...FORM, authorization: basic(name, secret) },
      body: 'token=none',
    }),
    isRefused: (status) => status === 401,
  },
  {
    place: 'an account of IDscan (I23)',
    rounds: LOGIN_ROUNDS,
    warmUp: LOGIN_WARM_UP_ROUNDS,
    classes: [...CLASSES, { label: 'disabled account', names: DISABLED, secret: RIGHT }],
    request: (name, secret) => ({
      path: '/idscanenterprisesvc/token',
      method: 'POST',
      headers: FORM,
      body: `grant_type=password&username=${name}&password=${secret}&area=scanning`,
    }),
    isRefused: (status, body) => status === 400 && body.includes('invalid_grant'),
  },
]

test.each(PLACES)(
  'refuses $place in the same time, whether the id exists or not',
  { timeout: TIMEOUT_MS },
  async (place) => {
    const configuration = JSON.stringify(await configure())
    await using trimint = await startProcess({ LOG_LEVEL: 'info' }, (folder) =>
      writeFileSync(join(folder, 'trimint.yaml'), configuration),
    )
    const [, url = ''] = await trimint.sees(/"url":"([^"]+)"/)
    const client = new Client(url, { pipelining: 1 })
    let suspects = place.classes.slice(2).map(({ label }) => label)
    for (let measurement = 0; measurement < MEASUREMENTS && suspects.length > 0; measurement++) {
      const differing = findDifferences(place, await measure(client, place))
      suspects = suspects.filter((label) => differing.includes(label))
    }
    await client.destroy()
    expect(suspects).toEqual([])
  },
)

async function configure(): Promise<ConfigurationInput> {
  const secret = `sha256:${createHash('sha256').update(RIGHT).digest('hex')}`
  const accounts = [...KNOWN, ...DISABLED].map(async (username) => ({
    username,
    password: await hash(RIGHT, { memoryCost: 19_456, timeCost: 2, parallelism: 1 }),
    areas: ['scanning' as const],
    disabled: DISABLED.includes(username),
  }))
  return {
    publicUrl: 'https://tokens.example.com',
    store: 'sqlite::memory:',
    keys: [{ secret: KEY }],
    overload: false,
    // On, since it is part of what is timed, with limits that the test does not reach.
    guard: { accountFailures: 1_000_000, addressFailures: 1_000_000, window: '1h', block: '1s' },
    bws: { apps: KNOWN.map((id) => ({ id, secret, bcids: '*' as const })) },
    idscan: { accounts: await Promise.all(accounts) },
    nevisfido: {
      appId: 'https://fido.example.com/facets',
      users: '*',
      clients: KNOWN.map((id) => ({ id, secret, users: '*' as const })),
    },
    resourceServers: KNOWN.map((id) => ({ id, secret })),
  }
}

/** Returns the milliseconds of each refusal, for each class. */
async function measure(client: Client, place: Place): Promise<number[][]> {
  const times: number[][] = place.classes.map(() => [])
  for (let round = 0; round < place.warmUp + place.rounds; round++) {
    for (const [index, { names, secret }] of shuffle([...place.classes.entries()])) {
      const time = await timeRefusal(client, place, names[round % NAMES] ?? '', secret)
      if (round >= place.warmUp) times[index]?.push(time)
    }
  }
  return times
}

async function timeRefusal(client: Client, place: Place, name: string, secret: string): Promise<number> {
  const request = place.request(name, secret)
  const start = performance.now()
  const { statusCode, body } = await client.request(request)
  const text = await body.text()
  const time = performance.now() - start
  if (!place.isRefused(statusCode, text)) throw new Error(`unexpected reply: ${statusCode} ${text}`)
  return time
}

/** Shuffles like Fisher and Yates. */
function shuffle<T>(values: readonly T[]): T[] {
  const rest = [...values]
  return values.flatMap(() => rest.splice(Math.floor(Math.random() * rest.length), 1))
}

/** Prints each class beside the first one. @returns the labels of those that differ beyond chance */
function findDifferences({ place, rounds, classes }: Place, times: readonly number[][]): string[] {
  const [first = [], ...others] = times
  const [chance, ...comparisons] = others.map((other) => compare(other, first))
  if (!chance) return []
  const limit = Math.abs(chance.delta) + chance.margin
  const lines = comparisons.map(({ difference, delta, margin }, index) => {
    const label = classes[index + 2]?.label ?? ''
    const effect = `Cliff's delta ${delta.toFixed(3)} ± ${margin.toFixed(3)} (A/A ${chance.delta.toFixed(3)})`
    return `${place}, ${label}: ${rounds} rounds, median ${(difference * 1_000).toFixed(0)} µs later, ${effect}\n`
  })
  process.stdout.write(lines.join(''))
  return comparisons.flatMap(({ delta, margin }, index) => {
    const size = Math.abs(delta)
    return size > margin && size > limit ? [classes[index + 2]?.label ?? ''] : []
  })
}
