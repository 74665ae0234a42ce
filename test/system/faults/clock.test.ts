import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DEFAULT_INTERVALS } from '../../../src/app/background-jobs.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import { MAX_STALENESS_MS } from '../../../src/core/revocations.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { ACCOUNT, LOGIN, login } from '../../support/idscan.ts'
import { checkBws, introspect, issueBws, RESOURCE_SERVERS, revoke } from '../../support/lifecycle.ts'
import { codeOf, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { hasPostgres, startPostgres } from '../../support/postgres.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import { APP, KEY, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

// The clock is wrong for a while and is then set right, while the service runs. Meanwhile the service takes the wrong
// time for right. Afterwards no token is lost, no token can be redeemed twice, and every revocation holds.

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const folder = mkdtempSync(join(tmpdir(), 'trimint-clock-'))
afterAll(() => rmSync(folder, { recursive: true }))

// Background jobs run when a test advances the timers.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

const kinds = [{ store: 'an SQLite file', name: `sqlite:${join(folder, 'trimint.db')}` }]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  afterAll(() => redis.stop())
  kinds.push({ store: 'a Redis', name: redis.url })
}
if (hasPostgres()) {
  const postgres = await startPostgres()
  afterAll(() => postgres.stop())
  kinds.push({ store: 'a PostgreSQL', name: await postgres.createDatabase() })
}

const JUMPS = [
  { jump: 'two hours ahead', by: 120 * MINUTE },
  { jump: 'a year ahead', by: 365 * DAY },
  { jump: 'two hours back', by: -120 * MINUTE },
  { jump: 'a year back', by: -365 * DAY },
]

/** A monotonic clock is between two milliseconds of the other clock, each time elsewhere. */
const PART = 0.3

const CONFIGURATION = {
  nevisfido: OPEN,
  resourceServers: RESOURCE_SERVERS,
  bws: {
    lifetime: '30m',
    apps: [{ id: 'app-1', secret: 'plain:app+secret/with=all:the~odd characters', client: 'x', bcids: '*' as const }],
  },
}

/** Creates tokens in every state, before the clock jumps. */
async function prepare(service: Service) {
  const [kept, spent] = [await createToken(service, 'registration'), await createToken(service, 'registration')]
  expect(codeOf(await redeem(service, 'registration', spent.token))).toBe(1200)
  const [good, revoked, used] = [
    await issueBws(service, 'task=verify&maxtries=1'),
    await issueBws(service),
    await issueBws(service, 'task=verify&maxtries=1'),
  ]
  expect(await revoke(service, revoked)).toMatchObject({ status: 200 })
  expect(await checkBws(service, 'verify', used)).toMatchObject({ status: 200 })
  return { kept, spent, good, revoked, used }
}

/** Expects every operation to work with tokens made at the present time of the clock. */
async function expectWorking(service: Service): Promise<void> {
  const made = await prepare(service)
  expect(codeOf(await redeem(service, 'registration', made.kept.token))).toBe(1200)
  expect(codeOf(await redeem(service, 'registration', made.kept.token))).toBe(1491)
  expect(codeOf(await redeem(service, 'registration', made.spent.token))).toBe(1491)
  expect(await checkBws(service, 'verify', made.good)).toMatchObject({ status: 200 })
  expect(await checkBws(service, 'verify', made.used)).toMatchObject({ status: 403 })
  expect(await checkBws(service, 'upload', made.revoked)).toMatchObject({ status: 401 })
}

/** Sweeps in progress. What was created after a jump back, one that began before it would delete. */
const sweeps = new Set<Promise<void>>()

async function sweepsEnd(): Promise<void> {
  // The next store's sweep begins when that of the last one has ended.
  for (let ended = -1; ended !== 0; await turn()) ended = (await Promise.allSettled(sweeps)).length
}

function trackSweeps(stores: Stores): Stores {
  const track = <Store extends { sweep(time: number): Promise<void> }>(store: Store): Store => ({
    ...store,
    sweep(time: number) {
      const sweep = store.sweep(time)
      sweeps.add(sweep)
      const end = (): void => void sweeps.delete(sweep)
      sweep.then(end, end)
      return sweep
    },
  })
  const { tokens, revocations, failures, uses, replicas } = stores
  return {
    ...stores,
    tokens: track(tokens),
    revocations: track(revocations),
    failures: track(failures),
    uses: track(uses),
    replicas: track(replicas),
  }
}

/** Milliseconds of every token's life in this test. */
const LIFETIME = 5 * MINUTE

describe.each(kinds)('Trimint on $store', ({ name }) => {
  test('N19, N22: redeems no token of a replica whose clock is ahead before its time, or after its user was revoked', async () => {
    const stores = await openStores(name)
    const clock = createFrozenClock()
    const file = join(folder, 'trimint.yaml')
    const configuration = {
      ...CONFIGURATION,
      bws: { apps: [{ ...APP, id: 'app-2' }] },
      publicUrl: 'https://tokens.example.com',
      store: name,
      keys: [{ secret: KEY }],
    }
    writeFileSync(file, JSON.stringify(configuration))
    {
      const aheadClock = () => clock() + 2 * MINUTE
      const uptime = createFrozenClock(5)
      const shared = { configuration, uptime, stores, intervals: DEFAULT_INTERVALS }
      await using exact = await startService({ ...shared, clock })
      await using ahead = await startService({ ...shared, clock: aheadClock })
      const [early, revoked] = [await createToken(ahead, 'registration'), await createToken(ahead, 'registration')]
      expect(codeOf(await redeem(exact, 'registration', early.token))).toBe(1404)
      expect(exact.log.at(-1)).toMatchObject({ event: 'token.refused', reason: 'token_not_yet_valid' })

      const run = (...words: string[]) => runTrimint(words, { variables: { TRIMINT_CONFIG: file }, clock })
      expect(await run('revoke', '--user', 'jeff')).toMatchObject({ code: 0, err: '' })
      // Signed tokens are in no store: their times are all that is known.
      const ofApp = await run('revoke', '--app', 'app-2')
      expect(ofApp.code).toBe(0)
      expect(ofApp.err).toMatch(/^warning: the clock of a server is 120 s ahead: .* repeat this command in 135 s, /)

      uptime.advance(MAX_STALENESS_MS)
      const after = [await createToken(exact, 'registration'), await createToken(ahead, 'registration')]
      clock.advance(2 * MINUTE)
      for (const { token } of [early, revoked]) expect(codeOf(await redeem(exact, 'registration', token))).toBe(1491)
      for (const { token } of after) expect(codeOf(await redeem(exact, 'registration', token))).toBe(1200)
    }
    await stores.close()
  })

  test('revives no token when the clock is set back by less than an hour after the token expired', async () => {
    const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
    const pass = async (time: number) => {
      clock.advance(time)
      uptime.advance(time + PART)
      await vi.advanceTimersByTimeAsync(time)
    }
    const stores = await openStores(name)
    {
      await using service = await startService({
        configuration: {
          ...CONFIGURATION,
          bws: { ...CONFIGURATION.bws, lifetime: '5m' },
          nevisfido: { ...OPEN, tokenLifetime: '5m' },
        },
        clock,
        uptime,
        stores,
        intervals: DEFAULT_INTERVALS,
      })
      const { spent, revoked, used } = await prepare(service)
      const [revokedSession, late, lateSession] = [
        await createToken(service, 'registration'),
        await issueBws(service),
        await createToken(service, 'registration'),
      ]
      await revoke(service, revokedSession.token)

      await pass(LIFETIME)
      // A clock that is ahead takes these tokens for expired.
      await revoke(service, late)
      await revoke(service, lateSession.token)
      await pass(RETENTION_MS - 2 * MINUTE)
      clock.advance(-RETENTION_MS)
      await pass(MINUTE)

      for (const token of [revoked, late]) {
        expect(await checkBws(service, 'upload', token)).toMatchObject({ status: 401 })
        expect((await introspect(service, token)).body).toBe('{"active":false}')
      }
      expect(await checkBws(service, 'verify', used)).toMatchObject({ status: 403 })
      for (const { token } of [spent, revokedSession, lateSession]) {
        expect(codeOf(await redeem(service, 'registration', token))).toBe(1491)
      }
    }
    await stores.close()
  })

  test('revives no token when a replica starts with a clock that is two hours ahead', async () => {
    const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
    const stores = await openStores(name)
    {
      const shared = { configuration: CONFIGURATION, stores, intervals: DEFAULT_INTERVALS }
      await using service = await startService({ ...shared, clock, uptime })
      const { spent, revoked, used } = await prepare(service)
      {
        const aheadClock = () => clock() + 120 * MINUTE
        await using ahead = await startService({ ...shared, clock: aheadClock, uptime: createFrozenClock(5) })
        await vi.advanceTimersByTimeAsync(2 * MINUTE)
        expect(ahead.log.filter(({ level }) => level === 'error')).toEqual([])
      }
      await using next = await startService({ ...shared, clock, uptime })
      for (const at of [service, next]) {
        expect(await checkBws(at, 'verify', used)).toMatchObject({ status: 403 })
        expect(await checkBws(at, 'upload', revoked)).toMatchObject({ status: 401 })
        expect(codeOf(await redeem(at, 'registration', spent.token))).toBeOneOf([1404, 1491])
      }
    }
    await stores.close()
  })

  test.each(JUMPS)(
    'I24: keeps a block, and ends it in time, when the clock jumps $jump and back three minutes later',
    async ({ by }) => {
      const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
      const pass = async (time: number) => {
        clock.advance(time)
        uptime.advance(time + PART)
        await vi.advanceTimersByTimeAsync(time)
      }
      const stores = await openStores(name)
      {
        await using service = await startService({
          configuration: { guard: { accountFailures: 2, block: '15m' }, idscan: { accounts: [ACCOUNT] } },
          clock,
          uptime,
          stores,
          intervals: DEFAULT_INTERVALS,
        })
        const logIn = async () => (await login(service)).status
        for (let count = 0; count < 2; count++) await login(service, { ...LOGIN, password: 'wrong-password' })
        expect(await logIn()).toBe(429)
        clock.advance(by)
        for (let minute = 0; minute < 3; minute++) {
          expect(await logIn()).toBe(429)
          // Failures write to the store while the clock is wrong.
          await login(service, { ...LOGIN, username: 'nobody' })
          await pass(MINUTE)
        }
        clock.advance(-by)
        await pass(MINUTE)
        expect(await logIn()).toBe(429)
        await pass(11 * MINUTE + 1_000)
        expect(await logIn()).toBe(200)
        expect(service.log.filter(({ event }) => event === 'store.failed')).toEqual([])
      }
      await stores.failures.remove('account psc from everywhere', 100)
      await stores.close()
    },
  )

  test.each(JUMPS)(
    'loses, revives and doubles no token when the clock jumps $jump and back three minutes later',
    async ({ by }) => {
      const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
      const pass = async (time: number) => {
        clock.advance(time)
        uptime.advance(time + PART)
        await vi.advanceTimersByTimeAsync(time)
        await sweepsEnd()
      }
      const stores = trackSweeps(await openStores(name, { onError: () => undefined, onFatal: () => undefined }))
      {
        await using service = await startService({
          configuration: CONFIGURATION,
          clock,
          uptime,
          stores,
          intervals: DEFAULT_INTERVALS,
        })
        const { kept, spent, good, revoked, used } = await prepare(service)
        await pass(MINUTE)

        clock.advance(by)
        for (let minute = 0; minute < 3; minute++) {
          await expectWorking(service)
          expect(codeOf(await redeem(service, 'registration', spent.token))).not.toBe(1200)
          expect(await checkBws(service, 'upload', revoked)).toMatchObject({ status: 401 })
          expect((await checkBws(service, 'verify', used)).status).not.toBe(200)
          await pass(MINUTE)
        }

        clock.advance(-by)
        await pass(1)
        expect(codeOf(await redeem(service, 'registration', spent.token))).toBe(1491)
        expect(codeOf(await redeem(service, 'registration', kept.token))).toBe(1200)
        expect(codeOf(await redeem(service, 'registration', kept.token))).toBe(1491)
        expect(await checkBws(service, 'verify', used)).toMatchObject({ status: 403 })
        expect(await checkBws(service, 'upload', revoked)).toMatchObject({ status: 401 })
        expect((await introspect(service, revoked)).body).toBe('{"active":false}')
        expect(await checkBws(service, 'verify', good)).toMatchObject({ status: 200 })
        expect(await checkBws(service, 'verify', good)).toMatchObject({ status: 403 })
        await expectWorking(service)
        expect(service.log.filter(({ msg }) => msg === 'unexpected error')).toEqual([])
        expect(service.log.filter(({ event }) => event === 'store.failed')).toEqual([])
      }
      await stores.close()
    },
  )
})
