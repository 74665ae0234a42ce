import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { COMMANDS, REPLICATION_COMMANDS } from '../../../src/store/redis/rights.ts'
import { startDurableRedis } from '../../support/durable-redis.ts'
import { startNetwork } from '../../support/network.ts'
import { findFreePort } from '../../support/ports.ts'
import { hasProgram } from '../../support/programs.ts'
import { createCredential, createRecord, NOW } from '../../support/records.ts'
import { type StartedRedis, startRedis } from '../../support/redis.ts'
import { type RedisNode, startCluster, startSentinels } from '../../support/redis-nodes.ts'

// The connections of the Redis store: which server they lead to, what the server must allow, and what it may do.

const nothing = () => undefined

const revocation = (token: string) => ({ subject: `token ${token}`, issuedUntil: NOW, expires: NOW + 300_000 })

async function send(url: string, ...words: string[]): Promise<unknown> {
  const client = createClient({ url, RESP: 2 })
  await client.connect()
  try {
    return await client.sendCommand(words)
  } finally {
    client.destroy()
  }
}

/** Resolves to `done`, or to the reason for the rejection. */
const outcomeOf = (step: Promise<unknown>): Promise<string> => step.then(() => 'done', String)

describe.skipIf(!hasProgram('redis-server'))('a Redis behind a fixed address', () => {
  test.each(['every store writes', 'nothing but revocations is read'])(
    'is left within five seconds after it becomes a replica, and its old data is never read, while %s',
    async (traffic) => {
      await using old = await startRedis()
      await using next = await startRedis()
      await using address = await startNetwork(old.port)
      const stores = await openStores(`redis://127.0.0.1:${address.port}/0`, { onError: nothing })
      await stores.revocations.add(revocation('before'), NOW)
      await send(next.url, 'REPLICAOF', '127.0.0.1', String(old.port))
      await expect.poll(() => send(next.url, 'INFO', 'replication')).toMatch(/master_link_status:up/)
      await send(next.url, 'REPLICAOF', 'NO', 'ONE')
      // Connections stay open, and the address leads new ones to the new primary.
      address.leadTo(next.port, { keepOpen: true })
      await send(old.url, 'REPLICAOF', '127.0.0.1', '1')
      const elsewhere = await openStores(next.url, { onError: nothing })
      await elsewhere.revocations.add(revocation('after'), NOW)

      const demotedAt = performance.now()
      const read = async () => (await stores.revocations.since(undefined)).revocations.map(({ subject }) => subject)
      const answers: (string[] | undefined)[] = []
      for (let isBack = false; !isBack; ) {
        const subjects = await read().catch(nothing)
        answers.push(subjects)
        const steps =
          traffic === 'every store writes'
            ? [stores.tokens.create(createRecord()), stores.uses.count('a', 100_000, NOW + 1_000, NOW)]
            : [Promise.resolve()]
        const outcomes = await Promise.all(steps.map(outcomeOf))
        isBack = subjects !== undefined && outcomes.every((outcome) => outcome === 'done')
        // Three times as long as promised: other tests keep the machine busy.
        expect(performance.now() - demotedAt).toBeLessThan(15_000)
        await sleep(20)
      }
      const expected = ['token before', 'token after']
      for (const subjects of answers) if (subjects) expect(subjects).toEqual(expected)
      await stores.close()
      await elsewhere.close()
    },
  )

  test('is left within five seconds when its connections swallow everything, under load and when idle', async () => {
    await using redis = await startRedis()
    await using address = await startNetwork(redis.port)
    const stores = await openStores(`redis://127.0.0.1:${address.port}/0`, { onError: nothing })
    expect(await outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    address.swallow()
    const swallowedAt = performance.now()
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord())), { interval: 50 }).toBe('done')
    // The other stores were idle: their connections have noticed by themselves.
    await sleep(Math.max(0, swallowedAt + 3_000 - performance.now()))
    expect(await outcomeOf(stores.uses.count('a', 1, NOW + 1_000, NOW))).toBe('done')
    expect(await outcomeOf(stores.revocations.add(revocation('a'), NOW))).toBe('done')
    await stores.close()
  })

  test.each([
    ['a replica', 'READONLY', ['REPLICAOF', '127.0.0.1', '1']],
    ['a replica without its primary', 'MASTERDOWN', ['REPLICAOF', '127.0.0.1', '1']],
    ['a primary that lacks replicas', 'NOREPLICAS', ['CONFIG', 'SET', 'min-replicas-to-write', '1']],
  ])('is not used while it is %s (%s): reads reject too', async (_, reply, words) => {
    await using redis = await startRedis()
    if (reply === 'MASTERDOWN') await send(redis.url, 'CONFIG', 'SET', 'replica-serve-stale-data', 'no')
    const stores = await openStores(redis.url, { onError: nothing })
    await send(redis.url, ...words)
    await expect.poll(() => outcomeOf(stores.revocations.since(undefined))).not.toBe('done')
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).not.toBe('done')
    const undo = reply === 'NOREPLICAS' ? ['CONFIG', 'SET', 'min-replicas-to-write', '0'] : ['REPLICAOF', 'NO', 'ONE']
    await send(redis.url, ...undo)
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    await stores.close()
  })

  test('is left when it cannot write to its disk (MISCONF)', async () => {
    await using redis = await startDurableRedis(undefined, ['--save', '3600 1000'])
    const stores = await openStores(redis.url, { onError: nothing })
    await stores.tokens.create(createRecord())
    // A folder in the place of the file: saving fails.
    const [, folder] = (await send(redis.url, 'CONFIG', 'GET', 'dir')) as [string, string]
    await mkdir(join(folder, 'dump.rdb'))
    await send(redis.url, 'BGSAVE')
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).toMatch(/MISCONF/)
    await expect.poll(() => outcomeOf(stores.revocations.since(undefined))).toMatch(/MISCONF/)
    await send(redis.url, 'CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no')
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    await stores.close()
  })

  test('is not used while it reads its file (LOADING), also by a process that starts meanwhile', async () => {
    // Redis waits for so many microseconds at each key: together five seconds, in which it answers.
    const slowly = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024']
    await using redis = await startDurableRedis(undefined, ['--appendonly', 'yes', ...slowly])
    const stores = await openStores(redis.url, { onError: nothing })
    const record = createRecord()
    await stores.tokens.create(record)
    await stores.revocations.add(revocation('a'), NOW)
    await send(redis.url, 'EVAL', "for at = 1, 5000 do redis.call('SET', 'key:' .. at, '') end", '0')
    await send(redis.url, 'BGREWRITEAOF')
    await expect.poll(() => send(redis.url, 'INFO', 'persistence')).toMatch(/aof_rewrite_in_progress:0/)
    await redis.kill()
    const loaded = redis.start()
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord())), { interval: 20 }).toMatch(/LOADING/)
    const started = await openStores(redis.url, { onError: nothing })
    for (const { tokens, revocations } of [stores, started]) {
      expect(await outcomeOf(tokens.findByToken(record.tokenDigest, NOW))).toMatch(/LOADING/)
      expect(await outcomeOf(revocations.since(undefined))).toMatch(/LOADING/)
    }
    await send(redis.url, 'CONFIG', 'SET', 'key-load-delay', '0')
    await loaded
    for (const { tokens, revocations, close } of [stores, started]) {
      await expect.poll(() => outcomeOf(tokens.create(createRecord())), { timeout: 5_000 }).toBe('done')
      await expect.poll(() => outcomeOf(revocations.since(undefined)), { timeout: 5_000 }).toBe('done')
      expect(await tokens.findByToken(record.tokenDigest, NOW)).toEqual(record)
      await close()
    }
  })

  test('fails no call although it closes idle connections after a second', async () => {
    await using redis = await startRedis()
    await send(redis.url, 'CONFIG', 'SET', 'timeout', '1')
    const stores = await openStores(redis.url, { onError: nothing })
    for (const idleMs of [0, 1_500, 2_500]) {
      await sleep(idleMs)
      expect(await outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
      expect(await outcomeOf(stores.uses.count('a', 10, NOW + 1_000, NOW))).toBe('done')
    }
    await stores.close()
  })

  test('fails no call that follows after it has closed every connection', async () => {
    await using redis = await startRedis()
    const errors: Error[] = []
    const stores = await openStores(redis.url, { onError: (error) => errors.push(error) })
    // Each of the six stores has a connection.
    const callEach = () =>
      Promise.all([
        stores.tokens.create(createRecord()),
        stores.uses.counted('a'),
        stores.revocations.since(undefined),
        stores.failures.list(NOW, { blocks: 1, counts: 1 }),
        stores.replicas.running(NOW),
        stores.credentials.list(1),
      ])
    for (let round = 0; round < 5; round++) {
      await send(redis.url, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      await expect.poll(() => errors.length).toBeGreaterThanOrEqual(6 * (round + 1))
      expect(await outcomeOf(callEach())).toBe('done')
    }
    await stores.close()
  })

  test('gets no further steps while one has waited for 600 ms, and answers again afterwards', async () => {
    await using redis = await startRedis()
    const stores = await openStores(redis.url, { onError: nothing })
    await stores.tokens.create(createRecord())
    // On a busy machine, a round may make no call between 600 and 690 ms.
    await expect.poll(outcomesWhilePaused).toContainEqual(expect.stringMatching(/too slow/))
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    await stores.close()

    /** Returns the outcomes of calls made while another one, which succeeds, waits for an answer. */
    async function outcomesWhilePaused(): Promise<string[]> {
      await send(redis.url, 'CLIENT', 'PAUSE', '690', 'ALL')
      let isWaiting = true
      const first = outcomeOf(stores.tokens.create(createRecord())).finally(() => {
        isWaiting = false
      })
      const outcomes: string[] = []
      while (isWaiting) {
        await sleep(20)
        outcomes.push(await outcomeOf(Promise.race([stores.tokens.findByToken('any', NOW), sleep(20)])))
      }
      expect(await first).toBe('done')
      return outcomes
    }
  })

  test('gets an answer through although the machine pauses for longer than the time limit', async () => {
    await using redis = await startRedis()
    // The network is in this process, so it pauses too, and its answer comes some turns of the event loop later.
    await using network = await startNetwork(redis.port)
    const stores = await openStores(`redis://127.0.0.1:${network.port}/0`, { onError: nothing })
    await stores.tokens.create(createRecord())
    const created = outcomeOf(stores.tokens.create(createRecord()))
    await sleep(1)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
    expect(await created).toBe('done')
    await stores.close()
  })
})

interface Command {
  readonly name: string
  /** The first key: its name, or what precedes the id in it. */
  readonly key: string | undefined
}

function toCommand(words: readonly string[]): Command {
  const key = words.find((word) => word.startsWith('trimint:'))
  return { name: (words[0] ?? '').toUpperCase(), key: key && /^trimint:[^:]+:?/.exec(key)?.[0] }
}

/** Parses a line of MONITOR: time, origin, and the words in quotes. */
function readMonitored(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word)
}

describe.skipIf(!hasProgram('redis-server'))('a Redis with access control lists', () => {
  let redis: StartedRedis
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())

  const urlFor = (user: string, password = 'pw') => redis.url.replace('//', `//${user}:${password}@`)

  /** What docs/stores.md tells operators to grant. */
  const COMMAND_RIGHTS = '+@read +@write -@dangerous +eval +evalsha +multi +discard +select +time'.split(' ')
  const RIGHTS = ['~trimint:*', ...COMMAND_RIGHTS]
  const CLUSTER_RIGHTS = ['~{trimint}*', ...COMMAND_RIGHTS, '+cluster|nodes']

  test('serves a user with the documented rights', async () => {
    await send(redis.url, 'ACL', 'SETUSER', 'full', 'on', '>pw', ...RIGHTS)
    const stores = await openStores(urlFor('full'))
    await exercise(stores)
    await stores.close()
  })

  test('serves a user with the documented rights where writes wait for a replica', async () => {
    await using nodes = await startSentinels()
    const [server] = nodes.servers as [RedisNode]
    await server.send('ACL', 'SETUSER', 'full', 'on', '>pw', ...RIGHTS)
    const url = `redis://full:pw@127.0.0.1:${server.port}/0?wait=1`
    await expect(openStores(url, { onError: nothing })).rejects.toThrow('lacks the rights to: WAIT ')
    await server.send('ACL', 'SETUSER', 'full', '+wait')
    const stores = await openStores(url)
    await exercise(stores)
    await stores.close()
  })

  test('serves a user with the documented rights in a Cluster', async () => {
    await using nodes = await startCluster()
    for (const node of nodes.servers) {
      await node.send('ACL', 'SETUSER', 'full', 'on', '>pw', ...CLUSTER_RIGHTS)
      await node.send('ACL', 'SETUSER', 'narrow', 'on', '>pw', ...CLUSTER_RIGHTS, '-cluster|nodes')
      await node.send('ACL', 'SETUSER', 'other', 'on', '>pw', ...CLUSTER_RIGHTS, 'resetkeys', '~trimint:*')
    }
    const urlOf = (user: string) => nodes.url.replace('//', `//${user}:pw@`)
    const stores = await openStores(urlOf('full'))
    await exercise(stores)
    await stores.close()
    await expect(openStores(urlOf('narrow'), { onError: nothing })).rejects.toThrow(/NOPERM.*cluster\|nodes/)
    await expect(openStores(urlOf('other'), { onError: nothing })).rejects.toThrow(
      'lacks the rights to: EVAL {trimint}',
    )
    await expect(openStores(nodes.url.replace('//', '//full:other-pw@'), { onError: nothing })).rejects.toThrow(
      'WRONGPASS',
    )
  })

  const CREDENTIAL = createCredential({ username: 'jeff' })

  async function exercise(stores: Stores): Promise<void> {
    const record = createRecord({ client: undefined })
    await stores.tokens.create(record, { maxRecords: 10_000, maxBytes: 1e9 })
    await stores.tokens.findBySession(record.sessionDigest, NOW)
    await stores.tokens.redeem(record.tokenDigest, 'registration', NOW)
    const settlement = { outcome: { settledAt: NOW, statusCode: 1200 }, registrations: [CREDENTIAL], uses: [] }
    await stores.tokens.settle(record.tokenDigest, settlement, NOW)
    await stores.credentials.find([CREDENTIAL])
    await stores.credentials.findByUser('jeff')
    await stores.credentials.list(10)
    await stores.credentials.remove(CREDENTIAL)
    await stores.tokens.revoke(record.tokenDigest, NOW)
    for (const _ of [1, 2]) await stores.uses.count('a', 10, NOW + 1_000, NOW)
    await stores.uses.counted('a')
    await stores.uses.touch([{ tokenId: 'a', usedAt: NOW, expires: NOW + 1_000 }], NOW)
    await stores.uses.lastUse('a')
    await stores.failures.add('a', 1_000, NOW)
    await stores.failures.block('a', NOW + 2_000, NOW)
    await stores.failures.subtract('a', 1, 10)
    await stores.failures.remove('a', 10)
    await stores.failures.add('b', 1, NOW)
    await stores.failures.list(NOW, { blocks: 10, counts: 10 })
    await stores.failures.sweep(NOW + 10_000_000)
    await stores.replicas.announce({ id: 'a', instance: 'a', keys: ['k'], expires: NOW }, new Map([['k', NOW]]))
    await stores.replicas.neededUntil()
    await stores.replicas.running(NOW)
    await stores.replicas.leave('b', new Map())
    await stores.replicas.sweep(NOW + 10_000_000)
    for (const _ of [1, 2]) await stores.revocations.add(revocation('a'), NOW)
    await stores.revocations.since(undefined)
    await stores.revocations.sweep(NOW + 10_000_000)
  }

  test('executes no command while it checks rights', async () => {
    await using fresh = await startRedis()
    const stores = await openStores(fresh.url)
    expect(await send(fresh.url, 'DBSIZE')).toBe(0)
    await stores.close()
  })

  test.each([
    ['', COMMANDS],
    ['?wait=1', [...COMMANDS, ...REPLICATION_COMMANDS]],
  ])('checks every command and every key that the stores send, and no others%s', async (query, known) => {
    await using nodes = await startSentinels()
    const fresh = { url: `redis://127.0.0.1:${nodes.servers[0]?.port}/0` }
    const stores = await openStores(`${fresh.url}${query}`)
    await send(fresh.url, 'DEL', 'trimint:beat')
    const monitor = createClient({ url: fresh.url })
    await monitor.connect()
    const lines: string[] = []
    await monitor.monitor((line) => lines.push(line))
    await exercise(stores)
    await stores.close()
    await send(fresh.url, 'PING')
    await expect.poll(() => lines.at(-1)).toMatch(/"PING"/)
    monitor.destroy()

    // The others are what the client, this test, the replica, the Sentinels and the check itself send.
    const executed = lines
      .map(readMonitored)
      .map(toCommand)
      .filter(({ name }) => !/^(HELLO|CLIENT|PING|MULTI|DISCARD|INFO|PUBLISH|SUBSCRIBE|REPLCONF|AUTH)$/.test(name))
    const checked = known.map(toCommand)
    const namesOf = (commands: readonly Command[]) => new Set(commands.map(({ name }) => name))
    const keysOf = (commands: readonly Command[]) => new Set(commands.flatMap(({ key }) => key ?? []))
    expect(namesOf(checked)).toEqual(namesOf(executed))
    expect(keysOf(checked)).toEqual(keysOf(executed))
    const pairs = new Set(executed.map(({ name, key }) => `${name} ${key}`))
    expect(checked.map(({ name, key }) => `${name} ${key}`).filter((pair) => !pairs.has(pair))).toEqual([])
  })

  test.each([
    ['a command', ['-xadd', '-hincrby'], 'xadd'],
    ['scripts', ['-evalsha'], 'evalsha'],
    ['transactions', ['-multi'], 'multi'],
    ['the keys of revocations', ['resetkeys', '~trimint:[^r]*'], 'trimint:revocations'],
  ])('fails to open for a user without %s, and names what is missing', async (_, changes, missing) => {
    await send(redis.url, 'ACL', 'SETUSER', 'narrow', 'reset', 'on', '>pw', ...RIGHTS, ...changes)
    const opening = openStores(urlFor('narrow'), { onError: nothing })
    await expect(opening).rejects.toThrow(/lacks the rights to/)
    await expect(opening).rejects.toThrow(new RegExp(missing, 'i'))
    expect(await send(redis.url, 'CLIENT', 'LIST'), 'closes its connections').not.toContain('user=narrow')
  })

  test('fails to open for a wrong password', async () => {
    await expect(openStores(urlFor('full', 'wrong'), { onError: nothing })).rejects.toThrow('WRONGPASS')
  })
})

describe.skipIf(!hasProgram('redis-server') || !hasProgram('openssl'))('a Redis with a private CA', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-redis-tls-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const at = (name: string) => join(folder, name)
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' })

  beforeAll(() => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=our CA', '-days', '3650')
    openssl('req', ...key, '-keyout', 'redis.key', '-out', 'redis.csr', '-subj', '/CN=redis')
    execFileSync('sh', ['-c', 'printf "subjectAltName=IP:127.0.0.1" > ext'], { cwd: folder })
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '3650', '-extfile', 'ext']
    openssl('x509', '-req', '-in', 'redis.csr', '-out', 'redis.pem', ...ca)
  })

  test.each([
    ['Sentinel', startSentinels],
    ['a Cluster', startCluster],
  ] as const)('is served through %s with TLS, and refused without the CA', async (_, start) => {
    await using nodes = await start({ replicas: 1, tlsFolder: folder })
    const trusted = await openStores(`${nodes.url}?wait=1&ca=${at('ca.pem')}`, { onError: nothing })
    expect(await outcomeOf(trusted.tokens.create(createRecord()))).toBe('done')
    await trusted.close()
    const untrusted = await openStores(nodes.url, { onError: nothing })
    expect(await outcomeOf(untrusted.tokens.create(createRecord()))).toMatch(/certificate/)
    await untrusted.close()
  })

  test('is served with the CA in the URL, and refused without it', async () => {
    const port = await findFreePort()
    const tls = ['--tls-cert-file', 'redis.pem', '--tls-key-file', 'redis.key', '--tls-auth-clients', 'no']
    const words = ['--port', '0', '--tls-port', String(port), ...tls, '--tls-ca-cert-file', 'ca.pem', '--save', '']
    const child = spawn('redis-server', words, { cwd: folder, stdio: 'ignore' })
    await expect.poll(() => once(connectSocket(port, '127.0.0.1'), 'connect').then(() => 'open', String)).toBe('open')

    const url = `rediss://127.0.0.1:${port}/0`
    const trusted = await openStores(`${url}?ca=${at('ca.pem')}`, { onError: nothing })
    expect(await outcomeOf(trusted.tokens.create(createRecord()))).toBe('done')
    await trusted.close()
    const errors: string[] = []
    const untrusted = await openStores(url, { onError: ({ message }) => errors.push(message) })
    expect(await outcomeOf(untrusted.tokens.create(createRecord()))).toMatch(/certificate/)
    await untrusted.close()
    child.kill()
    await once(child, 'exit')
  })
})
