import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import { CALLER, QUERY } from '../../support/bws.ts'
import { type DurableRedis, startDurableRedis } from '../../support/durable-redis.ts'
import { FULL } from '../../support/full.ts'
import { type Deployment, deploy, type InstanceProcess } from '../../support/instances.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { type Network, startNetwork } from '../../support/network.ts'
import { hasProgram } from '../../support/programs.ts'
import { canMount, mountSmallDisk } from '../../support/small-disk.ts'
import { findBreaches, NO_BREACH, type SteadyLoad, startSteadyLoad } from '../../support/steady-load.ts'

// What happens to the store happens while callers issue, redeem, check and revoke without a pause. Whatever it is: what they were
// told is kept, nothing is redeemed twice, and all goes on by itself once it is over.

const ROUNDS = FULL ? 30 : 1
const TIMEOUT = FULL ? 900_000 : 120_000

/** Milliseconds of load before and after; the longer ones of the full form meet more. */
const WHILE = FULL ? 1_000 : 250

const PATIENT = { timeout: 20_000, interval: 20 }

async function expectServed(load: SteadyLoad): Promise<void> {
  const before = load.served()
  await expect.poll(() => load.served() - before, PATIENT).toBeGreaterThan(10)
}

async function expectFailures(load: SteadyLoad): Promise<void> {
  const before = load.failed()
  await expect.poll(() => load.failed() - before, PATIENT).toBeGreaterThan(10)
}

/** Signed tokens need no store to be issued. */
async function expectIssuing(instance: InstanceProcess): Promise<void> {
  const { status, body } = await instance.request(`/token?${QUERY}`, { as: CALLER })
  expect(status).toBe(200)
  trackSecret(body)
}

interface Fault {
  begin(): unknown
  end(): unknown
  /** What can be said while it lasts. */
  meanwhile?(instance: InstanceProcess): Promise<void>
  /** Of what does not fail, it is enough that it takes long. */
  readonly isBearable?: boolean
}

/** Has a fault come and go under load, and looks at what is left. */
async function endure(instance: InstanceProcess, { begin, end, meanwhile, isBearable = false }: Fault): Promise<void> {
  const load = startSteadyLoad(() => instance)
  for (let round = 0; round < ROUNDS; round++) {
    await expectServed(load)
    await sleep(Math.random() * WHILE)
    await begin()
    if (isBearable) await sleep(2 * WHILE)
    else await expectFailures(load)
    await expectIssuing(instance)
    await meanwhile?.(instance)
    await end()
    await expectServed(load)
  }
  await load.stop()
  expect(await findBreaches(instance, load)).toEqual(NO_BREACH)
  expect(instance.log()).not.toContain('server.failed')
}

/** Has the process itself die, and another one start on what it leaves. */
async function endureDeaths(deployment: Deployment): Promise<void> {
  let instance = await deployment.startProcess()
  const load = startSteadyLoad(() => instance)
  for (let round = 0; round < ROUNDS; round++) {
    await expectServed(load)
    await sleep(Math.random() * WHILE)
    await instance.kill()
    instance = await deployment.startProcess()
    await expectServed(load)
  }
  await load.stop()
  expect(await findBreaches(instance, load)).toEqual(NO_BREACH)
}

describe('an SQLite file', () => {
  test('N24, B35: outlives the SIGKILL of its process', { timeout: TIMEOUT }, async () => {
    await using deployment = await deploy()
    await endureDeaths(deployment)
  })

  // A limit to the size of files fails a write as a full disk does; a limit of nothing fails all of them, as a disk that has become
  // read-only.
  const LIMITS = [
    { disk: 'full', bytes: 300_000 },
    { disk: 'not written to any more', bytes: 0 },
  ]
  describe.skipIf(!hasProgram('prlimit'))('on a disk that is limited', () => {
    test.each(LIMITS)('N13, N24: is kept when the disk is $disk', { timeout: TIMEOUT }, async ({ bytes }) => {
      await using deployment = await deploy()
      const instance = await deployment.startProcess()
      const limit = (size: number | 'unlimited') =>
        execFileSync('prlimit', ['--pid', String(instance.pid), `--fsize=${size}:`])
      await endure(instance, { begin: () => limit(bytes), end: () => limit('unlimited') })
      expect(instance.log()).toContain('"reason":"store_unavailable"')
    })
  })

  if (canMount()) {
    test('N13, N24: is kept when a disk of its own is full', { timeout: TIMEOUT }, async () => {
      // With room for what each round leaves.
      using disk = mountSmallDisk(4 * ROUNDS)
      if (!disk) throw new Error('nothing could be mounted')
      await using deployment = await deploy(undefined, { store: `sqlite:${join(disk.folder, 'trimint.db')}` })
      const instance = await deployment.startProcess()
      await endure(instance, { begin: () => disk.fill(), end: () => disk.clear() })
      expect(instance.log()).toContain('database or disk is full')
    })
  }
})

describe.skipIf(!hasProgram('redis-server'))('a Redis that is synced to disk', () => {
  test('N24, B35: outlives the SIGKILL of the service', { timeout: TIMEOUT }, async () => {
    await using redis = await startDurableRedis()
    await using deployment = await deploy(redis.url)
    await endureDeaths(deployment)
  })

  async function setMemory({ url }: DurableRedis, room: 'none' | 'endless'): Promise<void> {
    const client = createClient({ url })
    await client.connect()
    await client.configSet({ 'maxmemory-policy': 'noeviction', maxmemory: room === 'none' ? '1mb' : '0' })
    await client.close()
  }

  const FAULTS: { what: string; fault(redis: DurableRedis, network: Network): Fault }[] = [
    { what: 'is killed', fault: (redis) => ({ begin: () => redis.kill(), end: () => redis.start() }) },
    { what: 'is paused', fault: (redis) => ({ begin: () => redis.freeze(), end: () => redis.thaw() }) },
    {
      what: 'is out of memory',
      fault: (redis) => ({
        begin: () => setMemory(redis, 'none'),
        end: () => setMemory(redis, 'endless'),
        async meanwhile(instance) {
          expect(await instance.request('/readyz'), 'reading goes on').toMatchObject({ status: 200 })
        },
      }),
    },
    {
      what: 'is far away all of a sudden',
      fault: (_, network) => ({
        begin: () => network.slowDown(80),
        end: () => network.slowDown(0),
        isBearable: true,
      }),
    },
    {
      what: 'is behind a network that swallows everything',
      fault: (_, network) => ({ begin: () => network.hold(), end: () => network.resume() }),
    },
  ]
  test.each(FAULTS)('N13, N24: keeps what callers were told when it $what', { timeout: TIMEOUT }, async ({ fault }) => {
    await using redis = await startDurableRedis()
    await using network = await startNetwork(redis.port)
    await using deployment = await deploy(`redis://127.0.0.1:${network.port}/0`)
    const instance = await deployment.startProcess()
    await endure(instance, fault(redis, network))
  })
})
