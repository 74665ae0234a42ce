import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DEFAULT_INTERVALS } from '../../../src/app/background-jobs.ts'
import { RETENTION_MS } from '../../../src/core/ports/retention.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { ACCOUNT } from '../../support/idscan.ts'
import { checkBws, introspect, issueBws, issueIdscan, RESOURCE_SERVERS, revoke } from '../../support/lifecycle.ts'
import { codeOf, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import { KEY, type Service, startService } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

// The clock is wrong for a while and is then set right, while the service runs. Meanwhile the service takes the wrong
// time for right. Afterwards no token is lost, no token can be redeemed twice, and every revocation holds.

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const folder = mkdtempSync(join(tmpdir(), 'trimint-clock-'))
afterAll(() => rmSync(folder, { recursive: true }))

// Background jobs run when a test advances the timers.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

let made = 0
const kinds = [{ store: 'an SQLite file', create: async () => `sqlite:${join(folder, `${made++}.db`)}` }]
if (hasProgram('redis-server')) {
  const redis = await startRedis()
  afterAll(() => redis.stop())
  kinds.push({
    store: 'a Redis',
    create: async () => {
      await redis.flush()
      return redis.url
    },
  })
}

const JUMPS = [
  { jump: 'two hours ahead', by: 120 * MINUTE },
  { jump: 'a year ahead', by: 365 * DAY },
  { jump: 'two hours back', by: -120 * MINUTE },
  { jump: 'a year back', by: -365 * DAY },
]

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

/** Milliseconds of every token's life in this test. */
const LIFETIME = 5 * MINUTE

describe.each(kinds)('Trimint on $store', ({ create }) => {
  test.each([
    ['is two minutes ahead', 0],
    ['was two minutes ahead, and has been corrected', -2 * MINUTE],
  ])('revokes everything that was issued so far by a replica whose clock %s', async (_what, correction) => {
    const [clock, aheadClock] = [createFrozenClock(), createFrozenClock(FROZEN_TIME + 2 * MINUTE)]
    const name = await create()
    const stores = await openStores(name)
    const configuration = {
      ...CONFIGURATION,
      publicUrl: 'https://tokens.example.com',
      keys: [{ secret: KEY }],
      idscan: { accounts: [ACCOUNT] },
      store: name,
    }
    const file = join(folder, `${correction}.yaml`)
    writeFileSync(file, JSON.stringify(configuration))
    {
      const common = { configuration, stores, intervals: DEFAULT_INTERVALS }
      await using ahead = await startService({ ...common, clock: aheadClock })
      await using exact = await startService({ ...common, clock })
      const fido = await createToken(ahead, 'registration')
      const signed = [await issueBws(ahead), await issueIdscan(ahead)]
      expect(codeOf(await redeem(exact, 'registration', fido.token))).toBe(1404)
      expect((await introspect(exact, fido.token)).body).toBe('{"active":false}')

      aheadClock.advance(correction)
      const holders = [
        ['--user', 'jeff'],
        ['--app', 'app-1'],
        ['--account', ACCOUNT.username],
      ]
      const run = (words: string[]) => runTrimint(['revoke', ...words], { variables: { TRIMINT_CONFIG: file }, clock })
      expect((await Promise.all(holders.map(run))).map(({ code }) => code)).toEqual([0, 0, 0])
      await vi.advanceTimersByTimeAsync(DEFAULT_INTERVALS.revocationRefreshMs)
      const isExtended = async () => {
        const { revocations } = await stores.revocations.since(undefined)
        return holders.every(([, holder]) =>
          revocations.some(
            ({ subject, issuedUntil }) => subject.endsWith(` ${holder}`) && issuedUntil > FROZEN_TIME + 2 * MINUTE,
          ),
        )
      }
      await expect.poll(isExtended).toBe(true)

      clock.advance(2 * MINUTE)
      expect(codeOf(await redeem(exact, 'registration', fido.token))).toBe(1491)
      for (const token of signed) expect((await introspect(exact, token)).body).toBe('{"active":false}')

      // Tokens that are issued later than the clock was ahead are new ones.
      clock.advance(3_000)
      expect(await checkBws(exact, 'upload', await issueBws(exact))).toMatchObject({ status: 200 })
      expect(codeOf(await redeem(exact, 'registration', (await createToken(exact, 'registration')).token))).toBe(1200)
    }
    await stores.close()
  })

  test('revives no token when the clock is set back by less than an hour after the token expired', async () => {
    const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
    const pass = async (time: number) => {
      clock.advance(time)
      uptime.advance(time)
      await vi.advanceTimersByTimeAsync(time)
    }
    const stores = await openStores(await create())
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

  test.each(JUMPS)(
    'loses, revives and doubles no token when the clock jumps $jump and back three minutes later',
    async ({ by }) => {
      const [clock, uptime] = [createFrozenClock(), createFrozenClock(5)]
      const pass = async (time: number) => {
        clock.advance(time)
        uptime.advance(time)
        await vi.advanceTimersByTimeAsync(time)
      }
      const stores: Stores = await openStores(await create())
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
      }
      await stores.close()
    },
  )
})
