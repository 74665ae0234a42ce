import { availableParallelism } from 'node:os'
import { hashSync } from '@node-rs/argon2'
import pLimit from 'p-limit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStores } from '../../src/store/open-stores.ts'
import { ACCOUNT, LOGIN, login, PASSWORD } from '../support/idscan.ts'
import { connectTo } from '../support/instances.ts'
import { hasProgram } from '../support/programs.ts'
import { type StartedRedis, startRedis } from '../support/redis.ts'
import { type Answerer, type ServiceOptions, startService } from '../support/service.ts'

// Guessing of passwords: from one address, at many accounts, and with many connections.

const guard = { accountFailures: 3, addressFailures: 20, window: '15m', block: '15m' }
/** Lets clients set their address, as a trusted proxy does. */
const trustProxy = ['loopback']
const ATTACKER = '10.0.0.1'
const HONEST = '10.0.0.2'

const stores = [{ store: 'SQLite', nameOf: () => 'sqlite::memory:' }]
if (hasProgram('redis-server')) {
  let redis: StartedRedis
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())
  stores.push({ store: 'Redis', nameOf: () => redis.url })
}

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, at) => `${prefix}-${at}`)

async function attempt(service: Answerer, username: string, password: string, address: string): Promise<number> {
  const options = { headers: { 'x-forwarded-for': address } }
  return (await login(service, { ...LOGIN, username, password }, options)).status
}

const startWith = (accounts: (typeof ACCOUNT)[], options: ServiceOptions = {}) =>
  startService({ configuration: { guard, idscan: { accounts }, trustProxy }, ...options })

const people = (count: number) => names('person', count).map((username) => ({ ...ACCOUNT, username }))

describe.each(stores)('on $store', ({ nameOf }) => {
  test('I24: blocks an address that tries one password on many accounts, known and unknown', async () => {
    const shared = await openStores(nameOf())
    {
      await using service = await startWith(people(30), { stores: shared })
      const statuses: number[] = []
      for (const at of names('', 30).keys()) {
        statuses.push(await attempt(service, at % 2 ? `person-${at}` : `nobody-${at}`, 'Spring 2026', ATTACKER))
      }
      expect(statuses).toEqual(Array.from({ length: 30 }, (_, at) => (at < guard.addressFailures ? 400 : 429)))
      expect(await attempt(service, 'person-1', PASSWORD, ATTACKER)).toBe(429)
      expect(await attempt(service, 'person-1', PASSWORD, HONEST)).toBe(200)
      expect(service.log.filter(({ event }) => event === 'guard.blocked')).toMatchObject([
        { key: `passwords from ${ATTACKER}` },
      ])
      expect((await service.metrics.guardBlocks.get()).values).toMatchObject([{ labels: { scope: 'address' } }])
    }
    await shared.close()
  })

  test('I24: does not block an office behind one address for typing errors of people who then log in', async () => {
    const shared = await openStores(nameOf())
    {
      const office = people(25)
      await using service = await startWith(office, { stores: shared })
      for (const { username } of office) {
        for (let error = 0; error < 2; error++) expect(await attempt(service, username, 'typo', HONEST)).toBe(400)
        expect(await attempt(service, username, PASSWORD, HONEST)).toBe(200)
      }
      const count = async () => {
        const listed = await shared.failures.list(Date.now(), { blocks: 100, counts: 100 })
        return listed.find(({ key }) => key === `passwords from ${HONEST}`)?.failures ?? 0
      }
      // The guard does not wait for the store.
      await expect.poll(count).toBe(0)
    }
    await shared.close()
  })

  test('I24: knows a block in force although thousands of later counts have more failures', async () => {
    const shared = await openStores(nameOf())
    {
      await using service = await startWith([ACCOUNT], { stores: shared })
      for (let count = 0; count < 3; count++) await attempt(service, 'psc', 'wrong-password', ATTACKER)
      const others = names('account invented', 2_500)
      for (let failures = 0; failures < 4; failures++) {
        await pLimit(100).map(others, (other) => shared.failures.add(`${other} from everywhere`, 1_800_000, Date.now()))
      }
      // It reads its first counts before it serves.
      await using other = await startWith([ACCOUNT], { stores: shared })
      expect(await attempt(other, 'psc', PASSWORD, ATTACKER)).toBe(429)
    }
    await shared.close()
  })
})

/** How many password checks run and wait at the same time at most. */
const CHECKS = 65 * Math.max(1, availableParallelism() - 1)

/** A hash whose check takes much longer than a request. */
const slowAccount = (username: string) => ({
  ...ACCOUNT,
  username,
  password: hashSync(PASSWORD, { memoryCost: 32_768, timeCost: 2 }),
})

test('I24: checks a first login in its turn while another address floods the queue of password checks', async () => {
  await using service = await startWith([slowAccount('psc')])
  const client = connectTo(service.url)
  const flood = names('random', CHECKS + 40).map((name) => attempt(client, name, 'x', ATTACKER))
  await expect.poll(() => service.log.some(({ reason }) => reason === 'overloaded')).toBe(true)
  expect(await attempt(service, 'psc', PASSWORD, HONEST)).toBe(200)
  // It did not wait for the checks before it.
  expect(service.log.filter(({ reason }) => reason === 'blocked')).toEqual([])
  expect(new Set(await Promise.all(flood))).toEqual(new Set([400, 429, 503]))
  await client.close()
})

test('I24: accepts a cached password while many addresses flood the queue, and counts guesses at it', async () => {
  await using service = await startWith([slowAccount('psc')])
  expect(await attempt(service, 'psc', PASSWORD, HONEST)).toBe(200)
  const client = connectTo(service.url)
  let isOver = false
  let sent = 0
  const flood = names('random', CHECKS + 10).map(async (name) => {
    while (!isOver) {
      sent += 1
      await attempt(client, name, 'x', `10.1.${sent >> 8}.${sent & 255}`)
    }
  })
  await expect.poll(() => service.log.some(({ reason }) => reason === 'overloaded')).toBe(true)
  expect(await attempt(service, 'psc', PASSWORD, HONEST)).toBe(200)
  // Nearly always 503: the queue is full.
  for (let guess = 0; guess < 3; guess++) expect([503, 400]).toContain(await attempt(service, 'psc', 'no', ATTACKER))
  expect(await attempt(service, 'psc', PASSWORD, ATTACKER)).toBe(429)
  isOver = true
  await Promise.all(flood)
  await client.close()
})
