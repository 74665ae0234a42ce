import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { FULL } from '../../support/full.ts'
import { ACCOUNT, login } from '../../support/idscan.ts'
import { codeOf, create, OPEN } from '../../support/nevisfido.ts'
import { hasPostgres, type StartedPostgres, startPostgres } from '../../support/postgres.ts'
import { createRecord } from '../../support/records.ts'
import { startService } from '../../support/service.ts'
import { countStale, measureRecoveries, type Outcome, readRevocations, startLoad } from '../../support/store-load.ts'

const ROUNDS = FULL ? 30 : 1
const TIMEOUT = FULL ? 900_000 : 60_000

/** Between a fault and the first write that succeeds again. */
const RECOVERY_MS = 5_000

/** A primary, a standby that every write waits for, and two instances that know both. */
async function startPair() {
  await using stack = new AsyncDisposableStack()
  const primary = stack.use(await startPostgres())
  const standby = stack.use(await primary.startStandby())
  await primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
  await primary.query('SELECT pg_reload_conf()')
  const isSynchronous = async () => {
    const states = await primary.query('SELECT sync_state FROM pg_stat_replication')
    expect(states).toEqual([{ sync_state: 'sync' }])
  }
  await vi.waitFor(isSynchronous, { timeout: 30_000 })
  const url = primary.url.replace(/@.*\//, `@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/`)
  const instances: Stores[] = []
  for (const _ of [1, 2]) {
    const stores = await openStores(url)
    stack.defer(() => stores.close())
    instances.push(stores)
  }
  const started = stack.move()
  return { primary, standby, instances, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/**
 * Counts what was acknowledged and is gone, what was redeemed twice or can be redeemed again, and stale reads.
 *
 * @param server the new primary. Tokens are read without the instances, which may still know the old one.
 * @param stores of an instance.
 */
async function check(outcome: Outcome, server: StartedPostgres, stores: Stores) {
  const { created, redeemed, revoked } = outcome
  const rows = await server.query('SELECT token_digest AS digest, redeemed_at AS redeemed FROM trimint_tokens')
  const revocations = await readRevocations(stores)
  const kept = new Map(rows.map((row) => [row.digest, row.redeemed !== null]))
  return {
    lost: created.filter((digest) => !kept.has(digest)).length,
    twice: redeemed.length - new Set(redeemed).size,
    again: redeemed.filter((digest) => kept.get(digest) !== true).length,
    revocations: [...revoked.keys()].filter((subject) => !revocations.has(subject)).length,
    stale: countStale(outcome, revocations),
  }
}

const EXACT = { lost: 0, twice: 0, again: 0, revocations: 0, stale: 0 }

/** Runs in the server, which sees the wait before the instance gives up on it. */
const CANCEL_FIRST_WAIT = `DO $cancel$ BEGIN
  LOOP
    PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep';
    EXIT WHEN FOUND;
    PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
  END LOOP;
END $cancel$`

const faults: [string, (primary: StartedPostgres) => Promise<void>][] = [
  ['is killed', (primary) => primary.kill()],
  ['hangs', async (primary) => primary.freeze()],
  ['still takes writes after the promotion of its standby', async () => undefined],
]

describe.skipIf(!hasPostgres())('PostgreSQL with a synchronous standby', () => {
  test.each(faults)(
    'loses nothing and redeems nothing twice where the primary %s',
    { timeout: TIMEOUT },
    async (name, fault) => {
      for (let round = 0; round < ROUNDS; round++) {
        await using pair = await startPair()
        const load = startLoad(pair.instances)
        await expect.poll(() => load.outcome.created.length).toBeGreaterThan(100)

        await fault(pair.primary)
        await pair.standby.promote()
        const promoted = performance.now()
        const recoveriesMs = await measureRecoveries(load.outcome, promoted, RECOVERY_MS * 4)
        const outcome = await load.end()

        const breaches = await check(outcome, pair.standby, pair.instances[0] as Stores)
        const recoveryMs = Math.round(Math.max(...recoveriesMs))
        const figures = { tokens: outcome.created.length, recoveryMs, ...breaches }
        if (FULL) process.stderr.write(`PostgreSQL, ${name}: ${JSON.stringify(figures)}\n`)
        expect(breaches).toEqual(EXACT)
        expect(recoveryMs).toBeLessThan(RECOVERY_MS)
      }
    },
  )

  describe('whose standby hangs', () => {
    let pair: Awaited<ReturnType<typeof startPair>>
    beforeAll(async () => {
      pair = await startPair()
    })
    afterAll(() => pair?.[Symbol.asyncDispose]())
    afterEach(async () => {
      pair.standby.thaw()
      const create = ({ tokens }: Stores) =>
        tokens.create(createRecord()).then(
          () => 'created',
          () => 'rejected',
        )
      // Each instance works again.
      const outcomes = async () => expect(await Promise.all(pair.instances.map(create))).toEqual(['created', 'created'])
      await vi.waitFor(outcomes, { timeout: 30_000 })
    })

    test('rejects a write whose wait for the standby an administrator cancelled', async () => {
      const [stores] = pair.instances as [Stores]
      pair.standby.freeze()
      const cancelled = pair.primary.query(CANCEL_FIRST_WAIT)
      const isWatching = () => pair.primary.query("SELECT FROM pg_stat_activity WHERE query LIKE 'DO $cancel$%'")
      await expect.poll(isWatching).not.toEqual([])
      await expect(stores.tokens.create(createRecord())).rejects.toThrow('not confirmed')
      await cancelled
    })

    test('leaves few sessions behind in a server that waits for its standby', async () => {
      pair.standby.freeze()
      const ends = performance.now() + 4_000
      while (performance.now() < ends) {
        const calls = pair.instances.flatMap(({ tokens }) => [
          tokens.create(createRecord()),
          tokens.create(createRecord()),
        ])
        await Promise.allSettled(calls)
      }
      const [row] = await pair.primary.query(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'trimint%' AND backend_type = 'client backend'",
      )
      // For each of two instances: five connections, and eight that were given up.
      expect(Number(row?.count)).toBeLessThanOrEqual(2 * (5 + 8 + 1))
    })

    test('makes no revocation known that was read from a server that can no longer confirm writes', async () => {
      const [stores] = pair.instances as [Stores]
      await stores.revocations.since(undefined)
      pair.standby.freeze()
      await expect(stores.revocations.since(undefined)).rejects.toThrow('not answered')
    })

    test('is not ready while it cannot confirm writes, and names the contracts that still issue tokens', async () => {
      const [stores] = pair.instances as [Stores]
      const configuration = { idscan: { accounts: [ACCOUNT] }, nevisfido: OPEN }
      await using service = await startService({ stores, configuration })
      const readiness = async () => {
        const { status, body } = await service.request('/readyz')
        return { status, body: JSON.parse(body) as unknown }
      }
      expect(await readiness()).toEqual({ status: 200, body: { status: 'ready' } })
      pair.standby.freeze()
      await expect.poll(readiness).toEqual({
        status: 503,
        body: { status: 'not_ready', reasons: ['store_unavailable'], serving: ['bws', 'idscan'] },
      })
      expect((await getToken(service, QUERY)).status).toBe(200)
      expect((await login(service)).status).toBe(200)
      expect(codeOf(await create(service, 'registration'))).toBe(1500)
      pair.standby.thaw()
      await expect.poll(readiness).toEqual({ status: 200, body: { status: 'ready' } })
      await expect.poll(async () => codeOf(await create(service, 'registration'))).toBe(1200)
    })
  })
})
