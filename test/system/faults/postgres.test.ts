import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { TokenRecord } from '../../../src/core/ports/token-store.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { hasPostgres, type StartedPostgres, startPostgres } from '../../support/postgres.ts'

const NOW = Date.UTC(2026, 0, 1)
const EXPIRY = NOW + 300_000

/** Between a fault and the first write that succeeds again. */
const RECOVERY_MS = 5_000

let made = 0

function createRecord(): TokenRecord {
  made += 1
  return {
    tokenDigest: `token-${made}`,
    sessionDigest: `session-${made}`,
    operation: 'registration',
    username: 'jeff',
    client: 'backend',
    uafRequest: '[]',
    createdAt: NOW,
    knownRevocation: 0,
    expiresAt: EXPIRY,
    responseLifetime: 120_000,
    redeemedAt: undefined,
    revokedAt: undefined,
    outcome: undefined,
  }
}

/** A primary, a standby that every write waits for, and two instances that know both. */
async function startPair() {
  await using stack = new AsyncDisposableStack()
  const primary = stack.use(await startPostgres())
  const standby = stack.use(await primary.startStandby())
  await primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
  await primary.query('SELECT pg_reload_conf()')
  await expect.poll(() => primary.query('SELECT sync_state FROM pg_stat_replication')).toEqual([{ sync_state: 'sync' }])
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

interface Outcome {
  readonly created: string[]
  readonly redeemed: string[]
  /** When each creation was acknowledged, by performance.now(). */
  readonly times: number[]
}

/** Creates tokens through both instances and redeems every second one through both, until it is told to end. */
function startLoad(instances: readonly Stores[]) {
  const outcome: Outcome = { created: [], redeemed: [], times: [] }
  let isRunning = true

  async function work({ tokens }: Stores, other: Stores): Promise<void> {
    while (isRunning) {
      const record = createRecord()
      try {
        await tokens.create(record)
        outcome.created.push(record.tokenDigest)
        outcome.times.push(performance.now())
        if (outcome.created.length % 2 === 0) await redeem(record.tokenDigest, [tokens, other.tokens])
      } catch {
        await sleep(5)
      }
    }
  }

  async function redeem(digest: string, stores: readonly Stores['tokens'][]): Promise<void> {
    const attempts = stores.map((store) => store.redeem(digest, 'registration', NOW))
    for (const attempt of await Promise.allSettled(attempts)) {
      if (attempt.status === 'fulfilled' && attempt.value.outcome === 'redeemed') outcome.redeemed.push(digest)
    }
  }

  const [first, second] = instances as [Stores, Stores]
  const workers = Array.from({ length: 8 }, (_, at) => (at % 2 ? work(first, second) : work(second, first)))
  return {
    outcome,
    async end() {
      isRunning = false
      await Promise.all(workers)
      return outcome
    },
  }
}

/** Counts what was acknowledged and is gone, and what was redeemed twice or can be redeemed again. */
async function check({ created, redeemed }: Outcome, { tokens }: Stores) {
  const records = new Map<string, TokenRecord | undefined>()
  for (const digest of created) records.set(digest, await tokens.findByToken(digest, NOW))
  const lost = created.filter((digest) => records.get(digest) === undefined)
  const again = redeemed.filter((digest) => records.get(digest)?.redeemedAt === undefined)
  return { lost: lost.length, twice: redeemed.length - new Set(redeemed).size, again: again.length }
}

async function waitForRecovery({ times }: Outcome, from: number): Promise<number> {
  await expect.poll(() => times.some((time) => time > from), { timeout: RECOVERY_MS * 4 }).toBe(true)
  return (times.find((time) => time > from) ?? Number.POSITIVE_INFINITY) - from
}

const EXACT = { lost: 0, twice: 0, again: 0 }

const faults: [string, (primary: StartedPostgres) => Promise<void>][] = [
  ['is killed', (primary) => primary.kill()],
  ['hangs', async (primary) => primary.freeze()],
  ['still takes writes after the promotion of its standby', async () => undefined],
]

describe.skipIf(!hasPostgres())('PostgreSQL with a synchronous standby', () => {
  test.each(faults)('loses nothing and redeems nothing twice where the primary %s', async (_, fault) => {
    await using pair = await startPair()
    const load = startLoad(pair.instances)
    await expect.poll(() => load.outcome.created.length).toBeGreaterThan(100)

    await fault(pair.primary)
    await pair.standby.promote()
    const promoted = performance.now()
    const recoveryMs = await waitForRecovery(load.outcome, promoted)
    const outcome = await load.end()

    expect(await check(outcome, pair.instances[0] as Stores)).toEqual(EXACT)
    expect(recoveryMs).toBeLessThan(RECOVERY_MS)
  })

  test('rejects a write whose wait for the standby an administrator cancelled', async () => {
    await using pair = await startPair()
    const [stores] = pair.instances as [Stores]
    pair.standby.freeze()
    const creation = stores.tokens.create(createRecord())
    const rejection = expect(creation).rejects.toThrow('not confirmed')
    await expect
      .poll(() =>
        pair.primary.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
      )
      .not.toEqual([])
    await rejection
  })

  test('leaves few sessions behind in a server that waits for its standby', async () => {
    await using pair = await startPair()
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

    pair.standby.thaw()
    await expect
      .poll(() =>
        Promise.all(
          pair.instances.map(({ tokens }) =>
            tokens.create(createRecord()).then(
              () => true,
              () => false,
            ),
          ),
        ),
      )
      .toEqual([true, true])
  })

  test('makes no revocation known that was read from a server that can no longer confirm writes', async () => {
    await using pair = await startPair()
    const [stores] = pair.instances as [Stores]
    await stores.revocations.since(undefined)
    pair.standby.freeze()
    await expect(stores.revocations.since(undefined)).rejects.toThrow('not answered')
  })
})
