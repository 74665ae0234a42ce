import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { openStores, type Stores } from '../../src/store/open-stores.ts'
import { ACCOUNT } from '../support/idscan.ts'
import {
  alter,
  checkBws,
  checkIdscan,
  claimsIn,
  FOREIGN_KEY,
  forge,
  introspect,
  issueBws,
  issueIdscan,
  RESOURCE_SERVERS,
  revoke,
} from '../support/lifecycle.ts'
import { askStatus, codeOf, createToken, OPEN, redeem } from '../support/nevisfido.ts'
import { hasPostgres, startPostgres } from '../support/postgres.ts'
import { hasProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { APP, type Reply, type Service, startService } from '../support/service.ts'
import { createFrozenClock, type FrozenClock } from '../support/time.ts'

// Every kind of token, in every state, on every surface that accepts tokens, with every store.

const KINDS = ['bws', 'idscan', 'nevisfido'] as const
const STATES = [
  'fresh',
  'expired',
  'not yet valid',
  'altered',
  'wrong algorithm',
  'foreign key',
  'revoked',
  'tries used up',
  'wrong task',
  'wrong area',
  'idle',
  'redeemed',
] as const
const SURFACES = ['introspect', 'authz/bws', 'authz/idscan', 'redeem', 'status'] as const

type Kind = (typeof KINDS)[number]
type State = (typeof STATES)[number]
type Surface = (typeof SURFACES)[number]
type Answer = 'active' | 'inactive' | number | string
type Row = readonly [kind: Kind, state: State, ...answers: Answer[]]

// `-` marks states that a kind cannot be in: an opaque token has no algorithm, and so on. At redeem, a signed token is
// sent as the token; at status, as the session id.
const TABLE: readonly Row[] = [
  // kind        state              introspect  authz/bws  authz/idscan  redeem  status
  ['bws', 'fresh', 'active', 200, 401, 1404, 'unknown'],
  ['bws', 'expired', 'inactive', 401, 401, 1404, 'unknown'],
  ['bws', 'not yet valid', 'inactive', 401, 401, 1404, 'unknown'],
  ['bws', 'altered', 'inactive', 401, 401, 1404, 'unknown'],
  ['bws', 'wrong algorithm', 'inactive', 401, 401, 1404, 'unknown'],
  ['bws', 'foreign key', 'inactive', 401, 401, 1404, 'unknown'],
  ['bws', 'revoked', 'inactive', 401, 401, 1404, 'unknown'],
  ['bws', 'tries used up', 'inactive', 403, 401, 1404, 'unknown'],
  ['bws', 'wrong task', 'active', 403, 401, 1404, 'unknown'],
  ['bws', 'wrong area', '-', '-', '-', '-', '-'],
  ['bws', 'idle', '-', '-', '-', '-', '-'],
  ['bws', 'redeemed', '-', '-', '-', '-', '-'],
  ['idscan', 'fresh', 'active', 401, 200, 1404, 'unknown'],
  ['idscan', 'expired', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'not yet valid', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'altered', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'wrong algorithm', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'foreign key', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'revoked', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'tries used up', '-', '-', '-', '-', '-'],
  ['idscan', 'wrong task', '-', '-', '-', '-', '-'],
  ['idscan', 'wrong area', 'active', 401, 403, 1404, 'unknown'],
  ['idscan', 'idle', 'inactive', 401, 401, 1404, 'unknown'],
  ['idscan', 'redeemed', '-', '-', '-', '-', '-'],
  ['nevisfido', 'fresh', 'active', 401, 401, 1200, 'tokenCreated'],
  ['nevisfido', 'expired', 'inactive', 401, 401, 1408, 'failed'],
  ['nevisfido', 'not yet valid', '-', '-', '-', '-', '-'],
  ['nevisfido', 'altered', 'inactive', 401, 401, 1404, 'unknown'],
  ['nevisfido', 'wrong algorithm', '-', '-', '-', '-', '-'],
  ['nevisfido', 'foreign key', '-', '-', '-', '-', '-'],
  ['nevisfido', 'revoked', 'inactive', 401, 401, 1491, 'failed'],
  ['nevisfido', 'tries used up', '-', '-', '-', '-', '-'],
  ['nevisfido', 'wrong task', 'active', 401, 401, 1498, 'tokenCreated'],
  ['nevisfido', 'wrong area', '-', '-', '-', '-', '-'],
  ['nevisfido', 'idle', '-', '-', '-', '-', '-'],
  ['nevisfido', 'redeemed', 'inactive', 401, 401, 1491, 'clientRegistering'],
]

interface Shown {
  readonly token: string
  /** The session; the token itself for kinds without one. */
  readonly session: string
}

const alone = (token: string): Shown => ({ token, session: token })

/** Issues a token that every surface accepts: for a verification, for scanning, for a registration. */
const issuers: Record<Kind, (service: Service) => Promise<Shown>> = {
  bws: async (service) => alone(await issueBws(service)),
  idscan: async (service) => alone(await issueIdscan(service)),
  nevisfido: async (service) => {
    const { token, sessionId } = await createToken(service, 'registration')
    return { token, session: sessionId }
  },
}

/** Issues a token for another task, area or operation. */
const strangers: Record<Kind, (service: Service) => Promise<Shown>> = {
  bws: async (service) => alone(await issueBws(service, 'task=enroll')),
  idscan: async (service) => alone(await issueIdscan(service, { area: 'investigation' })),
  nevisfido: async (service) => {
    const { token, sessionId } = await createToken(service, 'deregistration')
    return { token, session: sessionId }
  },
}

const LIFETIMES: Record<Kind, number> = { bws: 600_000, idscan: 36_000_000, nevisfido: 300_000 }
const IDLE_TIMEOUT = 900_000

interface Stage {
  readonly kind: Kind
  readonly service: Service
  readonly clock: FrozenClock
}

/** Brings a token into a state. */
const states: Record<State, (stage: Stage) => Promise<Shown>> = {
  fresh: ({ kind, service }) => issuers[kind](service),
  expired: async ({ kind, service, clock }) => {
    const shown = await issuers[kind](service)
    clock.advance(LIFETIMES[kind])
    return shown
  },
  'not yet valid': async ({ kind, service, clock }) => {
    const shown = await issuers[kind](service)
    clock.advance(-1_000)
    return shown
  },
  altered: async ({ kind, service }) => {
    const { token, session } = await issuers[kind](service)
    return { token: alter(token), session: alter(session) }
  },
  'wrong algorithm': async ({ kind, service }) => {
    const { token } = await issuers[kind](service)
    return alone(forge(claimsIn(token), { header: { alg: 'HS384', typ: 'JWT' }, hash: 'sha384' }))
  },
  'foreign key': async ({ kind, service }) => {
    const { token } = await issuers[kind](service)
    return alone(forge(claimsIn(token), { key: FOREIGN_KEY }))
  },
  revoked: async ({ kind, service }) => {
    const shown = await issuers[kind](service)
    expect(await revoke(service, shown.token)).toMatchObject({ status: 200, body: '' })
    return shown
  },
  'tries used up': async ({ kind, service }) => {
    const shown = await issuers[kind](service)
    for (let count = 0; count < 3; count++) expect((await checkBws(service, 'verify', shown.token)).status).toBe(200)
    return shown
  },
  'wrong task': ({ kind, service }) => strangers[kind](service),
  'wrong area': ({ kind, service }) => strangers[kind](service),
  idle: async ({ kind, service, clock }) => {
    const shown = await issuers[kind](service)
    clock.advance(IDLE_TIMEOUT + IDLE_TIMEOUT / 10)
    return shown
  },
  redeemed: async ({ kind, service }) => {
    const shown = await issuers[kind](service)
    expect(codeOf(await redeem(service, 'registration', shown.token))).toBe(1200)
    return shown
  },
}

/** Shows a token somewhere, as its good form would be shown. */
const surfaces: Record<Surface, (service: Service, shown: Shown) => Promise<Answer>> = {
  introspect: async (service, { token }) => readIntrospection(await introspect(service, token)),
  'authz/bws': async (service, { token }) => (await checkBws(service, 'verify', token)).status,
  'authz/idscan': async (service, { token }) => (await checkIdscan(service, 'scanning', token)).status,
  redeem: async (service, { token }) => codeOf(await redeem(service, 'registration', token)),
  status: async (service, { session }) => JSON.parse((await askStatus(service, session)).body).status,
}

/** The reply for every inactive token, with the same bytes. */
function readIntrospection({ status, body }: Reply): Answer {
  if (status === 200 && body === '{"active":false}') return 'inactive'
  return status === 200 && (JSON.parse(body) as { active?: unknown }).active === true ? 'active' : `${status} ${body}`
}

const cells = TABLE.flatMap(([kind, state, ...answers]) =>
  SURFACES.map((surface, index) => ({ kind, state, surface, answer: answers[index] })),
)
const cases = cells.filter(({ answer }) => answer !== '-')

interface StoreServer {
  readonly url: string
  stop(): Promise<void>
}

/** Each store starts for its tests, not for their list. */
const stores: { store: string; start(): Promise<StoreServer> }[] = [
  { store: 'SQLite', start: async () => ({ url: 'sqlite::memory:', stop: async () => undefined }) },
]
if (hasProgram('redis-server')) stores.push({ store: 'Redis', start: () => startRedis() })
if (hasPostgres()) stores.push({ store: 'PostgreSQL', start: () => startPostgres() })

function configure(enforceIdleTimeout: boolean): Partial<ConfigurationInput> {
  return {
    guard: false,
    bws: { apps: [APP] },
    idscan: { accounts: [ACCOUNT], enforceIdleTimeout },
    nevisfido: OPEN,
    resourceServers: RESOURCE_SERVERS,
  }
}

describe.each(stores)('the token life cycle on $store', ({ start }) => {
  const clock = createFrozenClock()
  let server: StoreServer
  let opened: Stores
  let usual: Service
  /** Only for idle tokens: the time-out would hide the other reasons for rejecting an old token. */
  let withIdleTimeout: Service
  beforeAll(async () => {
    server = await start()
    opened = await openStores(server.url)
    usual = await startService({ clock, stores: opened, configuration: configure(false) })
    withIdleTimeout = await startService({ clock, stores: opened, configuration: configure(true) })
  })
  afterAll(async () => {
    for (const service of [usual, withIdleTimeout]) await service.close()
    await opened.close()
    await server.stop()
  })

  test.each(cases)('$kind token, $state, at $surface: $answer', async ({ kind, state, surface, answer }) => {
    const service = state === 'idle' ? withIdleTimeout : usual
    const shown = await states[state]({ kind, service, clock })
    expect(await surfaces[surface](service, shown)).toBe(answer)
  })
})

describe('the table of the token life cycle', () => {
  test('lists every kind in every state on every surface once', () => {
    const name = (...words: string[]): string => words.join(' ')
    const expected = KINDS.flatMap((kind) =>
      STATES.flatMap((state) => SURFACES.map((surface) => name(kind, state, surface))),
    )
    expect(cells.map(({ kind, state, surface }) => name(kind, state, surface))).toEqual(expected)
    expect(cells.every(({ answer }) => answer !== undefined)).toBe(true)
    expect(TABLE.every((row) => row.length === 2 + SURFACES.length)).toBe(true)
  })

  test('lists no answer for a state that a kind cannot be in', () => {
    for (const [kind, state, ...answers] of TABLE) {
      expect(new Set(answers.map((answer) => answer === '-')).size, `${kind} ${state}`).toBe(1)
    }
  })
})
