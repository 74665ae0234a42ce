import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CALLER, QUERY } from '../../support/bws.ts'
import { type DurableRedis, startDurableRedis } from '../../support/durable-redis.ts'
import { FULL } from '../../support/full.ts'
import { type Deployment, deploy, type Instance, type InstanceProcess } from '../../support/instances.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { type Network, startNetwork } from '../../support/network.ts'
import { hasProgram } from '../../support/programs.ts'
import { canMount, mountSmallDisk } from '../../support/small-disk.ts'
import { findBreaches, NO_BREACH, type SteadyLoad, startSteadyLoad } from '../../support/steady-load.ts'

// Faults of the store happen while clients issue, redeem, check and revoke without a pause. After each fault every
// answer given still holds, nothing was redeemed twice, and the service recovers by itself.

const ROUNDS = FULL ? 30 : 1
const TIMEOUT = FULL ? 900_000 : 120_000

/** Load before and during a fault. The full form's longer time meets more moments. */
const LOAD_MS = FULL ? 1_000 : 100

const PATIENT = { interval: 20 }

async function expectServed(load: SteadyLoad): Promise<void> {
  const before = load.served()
  await expect.poll(() => load.served() - before, PATIENT).toBeGreaterThan(10)
}

async function expectFailures(load: SteadyLoad): Promise<void> {
  const before = load.failed()
  await expect.poll(() => load.failed() - before, PATIENT).toBeGreaterThan(10)
}

/** Expects BWS tokens to be issued, which needs no store. */
async function expectIssuing(instance: Instance): Promise<void> {
  const { status, body } = await instance.request(`/token?${QUERY}`, { as: CALLER })
  expect(status).toBe(200)
  trackSecret(body)
}

interface Fault {
  begin(): unknown
  end(): unknown
  /** Checks what holds during the fault. */
  meanwhile?(instance: Instance): Promise<void>
  /** The fault slows calls down without failing them. */
  readonly isBearable?: boolean
}

/** Begins and ends a fault under load, then checks every answer given. */
async function endure(instance: Instance, { begin, end, meanwhile, isBearable = false }: Fault): Promise<void> {
  const load = startSteadyLoad(() => instance)
  for (let round = 0; round < ROUNDS; round++) {
    await expectServed(load)
    await sleep(Math.random() * LOAD_MS)
    await begin()
    if (isBearable) await sleep(2 * LOAD_MS)
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

/** Kills the process under load and starts another on the same store, then checks every answer given. */
async function endureDeaths(deployment: Deployment): Promise<void> {
  let instance = await deployment.startProcess()
  const load = startSteadyLoad(() => instance)
  for (let round = 0; round < ROUNDS; round++) {
    await expectServed(load)
    await sleep(Math.random() * LOAD_MS)
    await instance.kill()
    instance = await deployment.startProcess()
    await expectServed(load)
  }
  await load.stop()
  expect(await findBreaches(instance, load)).toEqual(NO_BREACH)
}

describe('an SQLite file', () => {
  test('N24, B35: keeps every answer when its process is killed', { timeout: TIMEOUT }, async () => {
    await using deployment = await deploy()
    await endureDeaths(deployment)
  })

  // RLIMIT_FSIZE fails writes as a full disk does; a limit of 0 fails all of them, as a read-only disk does.
  const LIMITS = [
    { disk: 'full', bytes: 300_000 },
    { disk: 'read-only', bytes: 0 },
  ]
  describe.skipIf(!hasProgram('prlimit'))('on a disk that is limited', () => {
    let deployment: Deployment
    let instance: InstanceProcess
    beforeAll(async () => {
      deployment = await deploy()
      instance = await deployment.startProcess()
    }, TIMEOUT)
    afterAll(() => deployment?.[Symbol.asyncDispose]())

    test.each(LIMITS)(
      'N13, N24: keeps every answer when the disk is $disk',
      { timeout: TIMEOUT },
      async ({ bytes }) => {
        const limit = (size: number | 'unlimited') =>
          execFileSync('prlimit', ['--pid', String(instance.pid), `--fsize=${size}:`])
        await endure(instance, { begin: () => limit(bytes), end: () => limit('unlimited') })
        expect(instance.log()).toContain('"reason":"store_unavailable"')
      },
    )
  })

  if (canMount()) {
    test('N13, N24: keeps every answer when its mounted disk is full', { timeout: TIMEOUT }, async () => {
      // Each round leaves records behind.
      using disk = mountSmallDisk(4 * ROUNDS)
      if (!disk) throw new Error('nothing could be mounted')
      await using deployment = await deploy(undefined, { store: `sqlite:${join(disk.folder, 'trimint.db')}` })
      const instance = await deployment.start()
      await endure(instance, { begin: () => disk.fill(), end: () => disk.clear() })
      expect(instance.log()).toContain('database or disk is full')
    })
  }
})

describe.skipIf(!hasProgram('redis-server'))('a Redis with appendfsync always', () => {
  // The short run kills the service on an SQLite file alone.
  test.skipIf(!FULL)('N24, B35: keeps every answer when the service is killed', { timeout: TIMEOUT }, async () => {
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
          await expect.poll(async () => (await instance.request('/readyz')).status, PATIENT).toBe(503)
        },
      }),
    },
    {
      what: 'suddenly answers 80 ms later',
      fault: (_, network) => ({
        begin: () => network.slowDown(80),
        end: () => network.slowDown(0),
        isBearable: true,
      }),
    },
    {
      what: 'is behind a network that drops everything',
      fault: (_, network) => ({ begin: () => network.hold(), end: () => network.resume() }),
    },
  ]
  test.each(FAULTS)('N13, N24: keeps every answer when it $what', { timeout: TIMEOUT }, async ({ fault }) => {
    await using redis = await startDurableRedis()
    await using network = await startNetwork(redis.port)
    await using deployment = await deploy(`redis://127.0.0.1:${network.port}/0`)
    const instance = await deployment.start()
    await endure(instance, fault(redis, network))
  })
})
