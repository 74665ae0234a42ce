import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { FULL } from '../../support/full.ts'
import { ACCOUNT, login } from '../../support/idscan.ts'
import { checkBws, issueBws } from '../../support/lifecycle.ts'
import { codeOf, create, OPEN } from '../../support/nevisfido.ts'
import { hasProgram } from '../../support/programs.ts'
import { NOW } from '../../support/records.ts'
import { ownerPort, type RedisNode, type RedisNodes, startCluster, startSentinels } from '../../support/redis-nodes.ts'
import { startService } from '../../support/service.ts'
import { countStale, measureRecoveries, type Outcome, readRevocations, startLoad } from '../../support/store-load.ts'
import { fewAtATime } from '../../support/stores.ts'

// The primary dies or hangs under load, and Sentinel or the Cluster promotes one of its replicas.

const ROUNDS = FULL ? 30 : 1
const TIMEOUT = FULL ? 900_000 : 180_000

/**
 * Between the promotion and the first write that succeeds again. The promotion takes two to four seconds, and four more
 * for each election in which two replicas of a Cluster got one vote each.
 */
const RECOVERY_MS = 5_000
const PROMOTION_MS = 60_000

/** How long a hanging primary runs again, as it was, before the load ends. */
const AFTERMATH_MS = 2_000

const TOPOLOGIES = { Sentinel: startSentinels, 'a Cluster': startCluster }

/** Returns the port of the primary, as Sentinel or the Cluster names it. */
async function primaryPort({ sentinels, servers }: RedisNodes): Promise<number | undefined> {
  const [sentinel] = sentinels
  if (!sentinel) return ownerPort(servers.at(-1) as RedisNode)
  const answer = (await sentinel.send('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')) as [string, string]
  return Number(answer[1])
}

type Fault = 'is killed' | 'hangs'

async function failOver(topology: keyof typeof TOPOLOGIES, query: string, fault: Fault) {
  await using nodes: RedisNodes = await TOPOLOGIES[topology]({ replicas: 2, failsAfterMs: 500, query })
  await using stack = new AsyncDisposableStack()
  async function open(): Promise<Stores> {
    const stores = await openStores(nodes.url)
    stack.defer(() => stores.close())
    return stores
  }
  const instances = await Promise.all([open(), open(), open()])
  const load = startLoad(instances)
  await expect.poll(() => load.outcome.created.length).toBeGreaterThan(200)
  await sleep(Math.random() * 100)

  const [primary] = nodes.servers as [RedisNode]
  const failedAt = performance.now()
  if (fault === 'is killed') await primary.kill()
  else primary.freeze()
  await expect.poll(() => primaryPort(nodes), { timeout: PROMOTION_MS }).not.toBe(primary.port)
  const promotedMs = performance.now() - failedAt
  const recoveriesMs = await measureRecoveries(load.outcome, failedAt, PROMOTION_MS)
  if (fault === 'hangs') {
    primary.thaw()
    await sleep(AFTERMATH_MS)
  }
  const outcome = await load.end()
  return {
    tokens: outcome.created.length,
    promotedMs,
    recoveryMs: Math.max(...recoveriesMs),
    ...(await check(outcome, await open())),
  }
}

/**
 * Counts what was acknowledged and is gone, what was redeemed twice or can be redeemed again, and stale reads.
 *
 * @param stores opened after the fail-over.
 */
async function check(outcome: Outcome, stores: Stores) {
  const { created, redeemed, revoked } = outcome
  const records = await fewAtATime.map(created, (digest) => stores.tokens.findByToken(digest, NOW))
  const isRedeemed = new Map(records.map((record, at) => [created[at], record?.redeemedAt !== undefined]))
  const revocations = await readRevocations(stores)
  return {
    lost: records.filter((record) => !record).length,
    twice: redeemed.length - new Set(redeemed).size,
    again: redeemed.filter((digest) => !isRedeemed.get(digest)).length,
    revocations: [...revoked.keys()].filter((subject) => !revocations.has(subject)).length,
    stale: countStale(outcome, revocations),
  }
}

const cases: [keyof typeof TOPOLOGIES, string, Fault][] = [
  ['Sentinel', '?wait=1', 'is killed'],
  ['a Cluster', '?wait=1', 'is killed'],
]
if (FULL) {
  cases.push(['Sentinel', '?wait=1', 'hangs'], ['a Cluster', '?wait=1', 'hangs'])
  for (const fault of ['is killed', 'hangs'] as const) cases.push(['Sentinel', '', fault], ['a Cluster', '', fault])
}

describe.skipIf(!hasProgram('redis-server'))('a fail-over of Redis', () => {
  test.each(cases)(
    '%s%s: recovers by itself where the primary %s, and loses nothing where writes wait for a replica',
    { timeout: TIMEOUT },
    async (topology, query, fault) => {
      for (let round = 0; round < ROUNDS; round++) {
        const { tokens, promotedMs, recoveryMs, ...breaches } = await failOver(topology, query, fault)
        const times = { promotedMs: Math.round(promotedMs), recoveryMs: Math.round(recoveryMs) }
        if (FULL)
          process.stderr.write(`${topology}${query}, ${fault}: ${JSON.stringify({ tokens, ...times, ...breaches })}\n`)
        // On a busy machine, replicas take longer to follow the new primary.
        if (FULL) expect(recoveryMs - promotedMs).toBeLessThan(RECOVERY_MS)
        if (query === '?wait=1') expect(breaches).toEqual({ lost: 0, twice: 0, again: 0, revocations: 0, stale: 0 })
      }
    },
  )

  test.each(Object.entries(TOPOLOGIES))(
    '%s: loses nothing where the primary runs again while it is being replaced, and writes wait for a replica',
    async (_, start) => {
      await using nodes = await start({ replicas: 2, failsAfterMs: 500, query: '?wait=1' })
      await using stack = new AsyncDisposableStack()
      async function open(): Promise<Stores> {
        const stores = await openStores(nodes.url)
        stack.defer(() => stores.close())
        return stores
      }
      const load = startLoad(await Promise.all([open(), open()]))
      await expect.poll(() => load.outcome.created.length).toBeGreaterThan(200)
      const [primary] = nodes.servers as [RedisNode]
      primary.freeze()
      // Until then, it has been found to have failed, and its second replica still follows it.
      await sleep(1_100)
      primary.thaw()
      const runsAgainAt = performance.now()
      await measureRecoveries(load.outcome, runsAgainAt, RECOVERY_MS * 4)
      await sleep(AFTERMATH_MS)
      const outcome = await load.end()
      const stores = await open()
      await expect.poll(() => stores.revocations.since(undefined).catch(() => undefined)).toBeDefined()
      expect(await check(outcome, stores)).toEqual({ lost: 0, twice: 0, again: 0, revocations: 0, stale: 0 })
    },
  )

  test('is not ready while no replica confirms writes, and names the contracts that still issue tokens', async () => {
    await using nodes = await startSentinels({ query: '?wait=1' })
    const [, replica] = nodes.servers as [RedisNode, RedisNode]
    const stores = await openStores(nodes.url)
    await using closing = new AsyncDisposableStack()
    closing.defer(() => stores.close())
    const configuration = { idscan: { accounts: [ACCOUNT] }, nevisfido: OPEN }
    await using service = await startService({ stores, configuration })
    const readiness = async () => {
      const { status, body } = await service.request('/readyz')
      return { status, body: JSON.parse(body) as unknown }
    }
    expect(await readiness()).toEqual({ status: 200, body: { status: 'ready' } })
    const token = await issueBws(service)
    replica.freeze()
    await expect.poll(readiness).toEqual({
      status: 503,
      body: { status: 'not_ready', reasons: ['store_unavailable'], serving: ['bws', 'idscan'] },
    })
    expect((await getToken(service, QUERY)).status).toBe(200)
    expect((await login(service)).status).toBe(200)
    expect(codeOf(await create(service, 'registration'))).toBe(1500)
    expect((await checkBws(service, 'verify', token)).status).toBe(503)
    replica.thaw()
    await expect.poll(readiness).toEqual({ status: 200, body: { status: 'ready' } })
    await expect.poll(async () => codeOf(await create(service, 'registration'))).toBe(1200)
  })
})
