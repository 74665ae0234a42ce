import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { CLUSTER_KEY_PREFIX, SLOT } from '../../../src/store/redis/cluster.ts'
import { startDurableRedis } from '../../support/durable-redis.ts'
import { startNetwork } from '../../support/network.ts'
import { findFreePort } from '../../support/ports.ts'
import { hasProgram } from '../../support/programs.ts'
import { createCredential, createRecord, NOW } from '../../support/records.ts'
import {
  hasReplicas,
  ownerPort,
  type RedisNode,
  sendTo,
  startCluster,
  startSentinels,
} from '../../support/redis-nodes.ts'

// Which of several servers the Redis store uses, and how long its writes wait for replicas.

const nothing = () => undefined

const revocation = (token: string) => ({ subject: `token ${token}`, issuedUntil: NOW, expires: NOW + 300_000 })

/** Resolves to `done`, or to the reason for the rejection. */
const outcomeOf = (step: Promise<unknown>): Promise<string> => step.then(() => 'done', String)

/** Without a replica. On a busy machine, the time limit of the whole step may come first. */
const UNCONFIRMED = /0 of 1 replicas have confirmed a write within 700 ms|Redis has not answered within 800 ms/

/** What docs/stores.md tells operators to grant. */
const SENTINEL_RIGHTS = ['+sentinel|get-master-addr-by-name', '+sentinel|master']

const opened: Stores[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((stores) => stores.close()))
})

async function open(url: string): Promise<Stores> {
  const stores = await openStores(url, { onError: nothing })
  opened.push(stores)
  return stores
}

/** Waits until the connection of every store works again. */
async function recovered({ tokens, uses, revocations, failures, replicas, credentials }: Stores): Promise<void> {
  const use = async () => {
    const calls = [
      tokens.create(createRecord()),
      uses.count(`recovery ${performance.now()}`, 1, NOW + 1_000, NOW),
      revocations.since(undefined),
      failures.list(NOW, { blocks: 1, counts: 1 }),
      replicas.running(NOW),
      credentials.list(1),
    ]
    return new Set(await Promise.all(calls.map(outcomeOf)))
  }
  await expect.poll(use, { timeout: 10_000 }).toEqual(new Set(['done']))
}

describe.skipIf(!hasProgram('redis-server'))('Sentinel', () => {
  test('leads to the primary although one Sentinel names another server, and to none where no majority names one', async () => {
    await using nodes = await startSentinels({ replicas: 0 })
    await using other = await startSentinels({ replicas: 0 })
    const ports = (of: typeof nodes) => of.sentinels.map(({ port }) => `127.0.0.1:${port}`)
    const [first, second] = ports(nodes)
    const [foreign] = ports(other)
    const stores = await open(`redis+sentinel://${foreign},${first},${second}/mymaster`)
    expect(await outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    expect(await nodes.servers[0]?.send('DBSIZE')).toBe(3)

    await nodes.sentinels[0]?.kill()
    const started = await open(`redis+sentinel://${foreign},${first},${second}/mymaster`)
    expect(await outcomeOf(started.tokens.create(createRecord()))).toMatch(
      /no primary that most Sentinels name; 1 of 3: .*, 1 of 3: .* \(127.0.0.1:[0-9]+: .*ECONNREFUSED/,
    )
    expect(await outcomeOf(stores.tokens.create(createRecord())), 'connections stay').toBe('done')
    expect(await stores.warnings?.()).toEqual([
      expect.stringMatching(/^no answer from Sentinel 127.0.0.1:[0-9]+: .*ECONNREFUSED/),
      'the primary has no replica that could replace it',
      'without ?wait=1, a fail-over loses the last writes',
    ])

    await nodes.sentinels[0]?.start()
    await recovered(started)
    expect(await other.servers[0]?.send('DBSIZE')).toBe(0)
  })

  test('refuses to open with a name that the Sentinels do not know', async () => {
    await using nodes = await startSentinels({ replicas: 0 })
    await expect(openStores(nodes.url.replace('mymaster', 'other'), { onError: nothing })).rejects.toThrow(
      'the Sentinels know no primary with the name other',
    )
  })

  test('gets the credentials of the URL where it requires them, and none where it does not', async () => {
    await using nodes = await startSentinels({ replicas: 0 })
    await nodes.servers[0]?.send('ACL', 'SETUSER', 'trimint', 'on', '>pw', '~*', '+@all')
    const url = nodes.url.replace('//', '//trimint:pw@')
    expect(await outcomeOf((await open(url)).tokens.create(createRecord()))).toBe('done')
    for (const sentinel of nodes.sentinels) {
      await sentinel.send('ACL', 'SETUSER', 'trimint', 'on', '>pw', ...SENTINEL_RIGHTS)
      await sentinel.send('ACL', 'SETUSER', 'default', 'off')
    }
    expect(await outcomeOf((await open(url)).tokens.create(createRecord()))).toBe('done')
    await expect(openStores(nodes.url, { onError: nothing })).rejects.toThrow('NOAUTH')
  })

  test('moves connections to the server that it names, although the old one still accepts writes', async () => {
    await using nodes = await startSentinels({ replicas: 1 })
    const [old, next] = nodes.servers as [RedisNode, RedisNode]
    const stores = await open(nodes.url)
    expect(await outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    // The Sentinels and the replica leave the old server, which notices nothing.
    await next.send('REPLICAOF', 'NO', 'ONE')
    for (const sentinel of nodes.sentinels) {
      await sentinel.send('SENTINEL', 'REMOVE', 'mymaster')
      await sentinel.send('SENTINEL', 'MONITOR', 'mymaster', '127.0.0.1', String(next.port), '2')
    }
    const added = async (name: string) => {
      await outcomeOf(stores.revocations.add(revocation(name), NOW))
      return await next.send('XLEN', 'trimint:revocations')
    }
    let round = 0
    await expect.poll(() => added(`${round++}`), { timeout: 10_000 }).toBeGreaterThan(0)
    expect(String(await old.send('ROLE'))).toMatch(/^master/)
  })

  test('finds what an earlier release has written', async () => {
    await using nodes = await startSentinels({ replicas: 0 })
    const record = createRecord()
    const { tokenDigest, sessionDigest } = record
    const { username, client, uafRequest, createdAt, knownRevocation, responseLifetime } = record
    const fields = { sessionDigest, username, client, uafRequest, createdAt, knownRevocation, responseLifetime }
    const text = `- - ${record.expiresAt} ${record.operation} ${JSON.stringify(fields)}`
    const [server] = nodes.servers as [RedisNode]
    await server.send('SET', `trimint:record:${tokenDigest}`, text)
    await server.send('SET', `trimint:session:${sessionDigest}`, tokenDigest)
    await server.send('SET', 'trimint:uses:a', '1')
    const stores = await open(nodes.url)
    expect(await stores.tokens.findBySession(sessionDigest, NOW)).toEqual(record)
    expect(await stores.uses.count('a', 1, NOW + 1_000, NOW)).toBeUndefined()
  })
})

describe.skipIf(!hasProgram('redis-server'))('a Redis Cluster', () => {
  test('is found through any node of it, and has all keys in one slot', async () => {
    await using nodes = await startCluster()
    const [owner, ...others] = nodes.servers as [RedisNode, ...RedisNode[]]
    const away = await Promise.all(Array.from({ length: 11 }, findFreePort))
    const stores = await open(
      `redis+cluster://${[...away, others[1]?.port].map((port) => `127.0.0.1:${port}`).join(',')}`,
    )
    await recovered(stores)
    await owner.send('FLUSHALL')
    const record = createRecord({ client: undefined })
    await stores.tokens.create(record, { maxRecords: 10, maxBytes: 100_000 })
    await stores.tokens.redeem(record.tokenDigest, 'registration', NOW)
    const settlement = { outcome: { settledAt: NOW, statusCode: 1200 }, registrations: [createCredential()], uses: [] }
    expect(await stores.tokens.settle(record.tokenDigest, settlement, NOW)).toBe('settled')
    await stores.revocations.add(revocation('a'), NOW)
    const needed = new Map([['k', NOW]])
    await stores.replicas.announce({ id: 'a', instance: 'a', keys: ['k'], expires: NOW }, needed)
    await stores.failures.add('a', 1_000, NOW)
    await stores.uses.count('a', 1, NOW + 1_000, NOW)
    const keys = (await owner.send('KEYS', '*')) as string[]
    expect(keys.length).toBeGreaterThan(8)
    for (const key of keys) expect(key.startsWith(CLUSTER_KEY_PREFIX)).toBe(true)
    expect(await owner.send('CLUSTER', 'KEYSLOT', CLUSTER_KEY_PREFIX)).toBe(SLOT)
    for (const other of others) expect(await other.send('DBSIZE')).toBe(0)

    await stores.tokens.clear?.()
    expect(((await owner.send('KEYS', '*record:*')) as string[]).length).toBe(0)
  })

  test('serves again within ten seconds after its slot has moved to another node under load, with all records', async () => {
    await using nodes = await startCluster()
    const [source, target] = nodes.servers as [RedisNode, RedisNode]
    const stores = await open(nodes.url)
    const ids = await Promise.all([source, target].map(async (node) => String(await node.send('CLUSTER', 'MYID'))))
    const created: string[] = []
    let isRunning = true
    const work = async () => {
      while (isRunning) {
        const record = createRecord()
        const outcome = await outcomeOf(stores.tokens.create(record))
        if (outcome === 'done') created.push(record.tokenDigest)
        else await sleep(5)
      }
    }
    const workers = [work(), work(), work()]
    await expect.poll(() => created.length).toBeGreaterThan(200)
    await stores.revocations.add(revocation('moved'), NOW)
    await target.send('CLUSTER', 'SETSLOT', String(SLOT), 'IMPORTING', ids[0] ?? '')
    await source.send('CLUSTER', 'SETSLOT', String(SLOT), 'MIGRATING', ids[1] ?? '')
    for (;;) {
      const keys = (await source.send('CLUSTER', 'GETKEYSINSLOT', String(SLOT), '50')) as string[]
      if (keys.length === 0) break
      await source.send('MIGRATE', '127.0.0.1', String(target.port), '', '0', '5000', 'KEYS', ...keys)
      // What was moved is not read as if it did not exist.
      const found = await stores.tokens.findByToken(created[0] ?? '', NOW).catch(() => 'rejected')
      expect(found).not.toBeUndefined()
      const read = await stores.revocations.since(undefined).catch(nothing)
      expect(read?.revocations ?? ['rejected']).toHaveLength(1)
    }
    for (const node of [target, source]) await node.send('CLUSTER', 'SETSLOT', String(SLOT), 'NODE', ids[1] ?? '')
    const before = created.length
    await expect.poll(() => created.length, { timeout: 10_000 }).toBeGreaterThan(before + 100)
    isRunning = false
    await Promise.all(workers)
    expect(await ownerPort(source)).toBe(target.port)
    await recovered(stores)
    for (const digest of created.slice(0, 200)) expect(await stores.tokens.findByToken(digest, NOW)).toBeDefined()
    expect((await stores.revocations.since(undefined)).revocations).toHaveLength(1)
  })

  test('serves while another node is lost, rejects calls while its own is, and serves again once that is back', async () => {
    await using nodes = await startCluster({ failsAfterMs: 500 })
    const [owner, , other] = nodes.servers as [RedisNode, RedisNode, RedisNode]
    const stores = await open(nodes.url)
    const elsewhere = await open(`redis+cluster://127.0.0.1:${other.port}`)
    for (const each of [stores, elsewhere]) await recovered(each)
    await other.kill()
    await expect.poll(() => owner.send('CLUSTER', 'INFO')).toContain('cluster_slots_fail:5461')
    expect(await outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    expect(await stores.warnings?.()).toContainEqual(expect.stringMatching(/^no answer from node 127.0.0.1:/))
    // The only node of this URL is away: the others are known from it.
    await owner.send('CLIENT', 'KILL', 'TYPE', 'normal')
    await recovered(elsewhere)
    await other.start()

    await owner.kill()
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).toMatch(/Redis is unavailable/)
    expect(await outcomeOf(stores.revocations.since(undefined))).toMatch(/Redis is unavailable/)
    await owner.start()
    await recovered(stores)
  })
})

describe.skipIf(!hasProgram('redis-server'))('a fail-over that an operator starts', () => {
  test.each([
    ['Sentinel', startSentinels],
    ['a Cluster', startCluster],
  ] as const)('of %s is followed within ten seconds, with all records', async (_, start) => {
    await using nodes = await start({ replicas: 1 })
    const [old, next] = nodes.servers as [RedisNode, RedisNode]
    const stores = await open(nodes.url)
    const record = createRecord()
    await stores.tokens.create(record)
    await stores.revocations.add(revocation('before'), NOW)
    await sendTo(`redis://127.0.0.1:${old.port}`, 'WAIT', '1', '5000')
    const [sentinel] = nodes.sentinels
    if (sentinel) await sentinel.send('SENTINEL', 'FAILOVER', 'mymaster')
    else await next.send('CLUSTER', 'FAILOVER')
    await expect.poll(async () => String(await next.send('ROLE'))).toMatch(/^master/)
    await recovered(stores)
    await stores.revocations.add(revocation('after'), NOW)
    expect(await next.send('DBSIZE')).toBeGreaterThan(5)
    expect(await stores.tokens.findByToken(record.tokenDigest, NOW)).toEqual(record)
    expect((await stores.revocations.since(undefined)).revocations).toHaveLength(2)
  })
})

describe.skipIf(!hasProgram('redis-server'))('a Redis whose writes wait for a replica', () => {
  async function startPair() {
    await using stack = new AsyncDisposableStack()
    const nodes = stack.use(await startSentinels({ replicas: 1 }))
    const [primary, replica] = nodes.servers as [RedisNode, RedisNode]
    const started = stack.move()
    const url = `redis://127.0.0.1:${primary.port}/0?wait=1`
    return { primary, replica, url, sentinels: nodes.sentinels, [Symbol.asyncDispose]: () => started.disposeAsync() }
  }

  test('rejects every write that no replica has confirmed, and serves again once one does', async () => {
    await using pair = await startPair()
    const prepared = await open(pair.url)
    const [redeemable, redeemed] = [createRecord(), createRecord()]
    const credential = createCredential({ username: 'jeff' })
    for (const record of [redeemable, redeemed]) await prepared.tokens.create(record)
    await prepared.tokens.redeem(redeemed.tokenDigest, 'registration', NOW)
    const outcome = { settledAt: NOW, statusCode: 1200 }
    const needed = new Map([['k', NOW]])
    const writes: Record<string, (stores: Stores) => Promise<unknown>> = {
      create: ({ tokens }) => tokens.create(createRecord()),
      redeem: ({ tokens }) => tokens.redeem(redeemable.tokenDigest, 'registration', NOW),
      settle: ({ tokens }) =>
        tokens.settle(redeemed.tokenDigest, { outcome, registrations: [credential], uses: [] }, NOW),
      revoke: ({ tokens }) => tokens.revoke(redeemed.tokenDigest, NOW),
      'revoke again': ({ tokens }) => tokens.revoke(redeemed.tokenDigest, NOW),
      count: ({ uses }) => uses.count('a', 10, NOW + 1_000, NOW),
      touch: ({ uses }) => uses.touch([{ tokenId: 'a', usedAt: NOW, expires: NOW + 1_000 }], NOW),
      add: ({ revocations }) => revocations.add(revocation('a'), NOW),
      'read revocations': ({ revocations }) => revocations.since(undefined),
      announce: ({ replicas }) => replicas.announce({ id: 'a', instance: 'a', keys: ['k'], expires: NOW }, needed),
      leave: ({ replicas }) => replicas.leave('a', needed),
      remove: ({ credentials }) => credentials.remove(credential),
    }
    const instances = await Promise.all(Object.keys(writes).map(() => open(pair.url)))
    pair.replica.freeze()
    const attempts = Object.entries(writes).map(async ([name, write], at) => [
      name,
      await outcomeOf(write(instances[at] as Stores)),
    ])
    const outcomes = Object.fromEntries(await Promise.all(attempts)) as Record<string, string>
    const rejection = expect.stringMatching(UNCONFIRMED)
    expect(outcomes).toEqual(Object.fromEntries(Object.keys(writes).map((name) => [name, rejection])))

    pair.replica.thaw()
    for (const stores of instances) await recovered(stores)
    expect(await prepared.warnings?.()).toEqual(['wait=1: the loss of a replica stops all writes'])
  })

  test('reads no revocations on the word of a replica that was lost since', async () => {
    await using pair = await startPair()
    // Nothing but the reading itself writes from now on.
    for (const sentinel of pair.sentinels) sentinel.freeze()
    await pair.primary.send('CONFIG', 'SET', 'repl-ping-replica-period', '3600')
    const stores = await open(pair.url)
    await stores.revocations.since(undefined)
    const isConfirmed = async () => {
      const text = String(await pair.primary.send('INFO', 'replication'))
      return /,offset=([0-9]+)/.exec(text)?.[1] === /master_repl_offset:([0-9]+)/.exec(text)?.[1]
    }
    await expect.poll(isConfirmed).toBe(true)
    pair.replica.freeze()
    expect(await outcomeOf(stores.revocations.since(undefined))).toMatch(UNCONFIRMED)
  })

  test('adds revocations also where it had no free memory when writes began to wait', async () => {
    await using pair = await startPair()
    const before = await open(`redis://127.0.0.1:${pair.primary.port}/0`)
    await before.replicas.announce({ id: 'a', instance: 'a', keys: [], expires: NOW }, new Map())
    const used = Number(/used_memory:([0-9]+)/.exec(String(await pair.primary.send('INFO', 'memory')))?.[1])
    // The reserve takes more than one MiB.
    await pair.primary.send('CONFIG', 'SET', 'maxmemory', String(used - 1_048_576))
    expect(await outcomeOf(before.tokens.create(createRecord()))).toMatch('OOM')
    const stores = await open(pair.url)
    expect(await outcomeOf(stores.revocations.add(revocation('a'), NOW))).toBe('done')
    expect(await outcomeOf(stores.revocations.since(undefined))).toBe('done')
  })

  test('acknowledges a write only once the replica has it', async () => {
    await using nodes = await startSentinels({ replicas: 0 })
    const [primary] = nodes.servers as [RedisNode]
    await using distance = await startNetwork(primary.port)
    await using replica = await startDurableRedis(undefined, ['--replicaof', `127.0.0.1 ${distance.port}`])
    await expect.poll(() => hasReplicas(primary, 1)).toBe(true)
    const stores = await open(`redis://127.0.0.1:${primary.port}/0?wait=1`)
    distance.slowDown(60)
    for (let round = 0; round < 5; round++) {
      const record = createRecord()
      await stores.tokens.create(record)
      expect(await sendTo(replica.url, 'EXISTS', `trimint:record:${record.tokenDigest}`)).toBe(1)
      await stores.uses.count('a', 100, NOW + 1_000, NOW)
      expect(Number(await sendTo(replica.url, 'GET', 'trimint:uses:a'))).toBe(round + 1)
    }
  })

  test('waits once for all writes that were answered together', async () => {
    await using pair = await startPair()
    const stores = await open(pair.url)
    const count = async () => {
      const statistics = String(await pair.primary.send('INFO', 'commandstats'))
      return Number(/cmdstat_wait:calls=([0-9]+)/.exec(statistics)?.[1])
    }
    const before = await count()
    await Promise.all(Array.from({ length: 500 }, (_, at) => stores.uses.count(`${at}`, 1, NOW + 1_000, NOW)))
    expect((await count()) - before).toBeLessThan(50)
  })

  test('serves again within ten seconds after its replica came back empty and was synchronised in full', async () => {
    await using pair = await startPair()
    const stores = await open(pair.url)
    const record = createRecord()
    await stores.tokens.create(record)
    await pair.replica.kill()
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).not.toBe('done')
    await pair.replica.start()
    await recovered(stores)
    expect(String(await pair.primary.send('INFO', 'stats'))).toMatch(/sync_full:2/)
    expect(await pair.replica.send('EXISTS', `trimint:record:${record.tokenDigest}`)).toBe(1)
  })

  test('uses no replica, although it accepts writes', async () => {
    await using pair = await startPair()
    await pair.replica.send('CONFIG', 'SET', 'replica-read-only', 'no')
    const stores = await open(`redis://127.0.0.1:${pair.replica.port}/0`)
    expect(await outcomeOf(stores.tokens.create(createRecord()))).toMatch(/Redis is a replica; expected the primary/)
  })
})
