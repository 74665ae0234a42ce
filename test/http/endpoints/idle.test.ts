import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Use } from '../../../src/core/ports/usage-store.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { ACCOUNT, encodeForm, jsonOf, login } from '../../support/idscan.ts'
import { basic, type Service, type ServiceOptions, startService } from '../../support/service.ts'
import { createFrozenClock, type FrozenClock } from '../../support/time.ts'

// The enforced idle time-out: two instances share a store and a clock.

/** Milliseconds. */
const IDLE = 60_000
/** Uses are written after a tenth of the time-out. */
const TENTH = IDLE / 10

/** Real milliseconds between two checks for uses that are due. */
const FLUSH_MS = 10

const REFUSED = { status: 401, body: '{"Message":"Authorization has been denied for this request."}' }
const GATEWAY = { id: 'gateway', secret: 'the secret of the gateway' }
const ENFORCED: NonNullable<ServiceOptions['configuration']> = {
  idscan: { accounts: [ACCOUNT], idleTimeout: '1m', enforceIdleTimeout: true },
  resourceServers: [{ id: GATEWAY.id, secret: `plain:${GATEWAY.secret}` }],
}

/** One write of an instance to the store. */
interface Write {
  readonly now: number
  readonly uses: readonly Use[]
}

interface Instance extends Service {
  /** The writes that the store accepted. */
  readonly writes: Write[]
}

let clock: FrozenClock
let stores: Stores
let isAway: boolean
let a: Instance
let b: Instance

/** Starts an instance that shares no memory with the others. */
async function startInstance(configuration = ENFORCED): Promise<Instance> {
  const writes: Write[] = []
  const refuseWhileAway = () => {
    if (isAway) throw new Error('the store is away')
  }
  const uses: Stores['uses'] = {
    ...stores.uses,
    async touch(noted, now) {
      refuseWhileAway()
      await stores.uses.touch(noted, now)
      writes.push({ now, uses: noted })
    },
    async lastUse(tokenId) {
      refuseWhileAway()
      return stores.uses.lastUse(tokenId)
    },
  }
  const intervals = { usageFlushMs: FLUSH_MS }
  const service = await startService({ configuration, clock, intervals, stores: { ...stores, uses } })
  return { ...service, writes }
}

beforeEach(async () => {
  clock = createFrozenClock()
  isAway = false
  stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  ;[a, b] = await Promise.all([startInstance(), startInstance()])
})
afterEach(async () => {
  await Promise.all([a.close(), b.close()])
  await stores.close()
})

const logIn = async (instance: Service): Promise<string> => String(jsonOf(await login(instance)).access_token)

const use = (instance: Service, token: string) =>
  instance.request('/authz/idscan/scanning', { headers: { authorization: token } })

const introspect = (instance: Service, token: string) =>
  instance.request('/introspect', {
    method: 'POST',
    body: encodeForm({ token }),
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic(GATEWAY.id, GATEWAY.secret) },
  })

/** Returns the latest use that the store accepted from an instance, in milliseconds since the epoch. */
const lastNoted = ({ writes }: Instance): number =>
  Math.max(0, ...writes.flatMap(({ uses }) => uses.map(({ usedAt }) => usedAt)))

/** Waits until an instance has written a use of this time. */
async function waitUntilNoted(instance: Instance, usedAt: number): Promise<void> {
  await expect.poll(() => lastNoted(instance)).toBe(usedAt)
}

/** Gives an instance time to check for due uses more than once. */
const waitForFlushes = (flushes = 10) => sleep(flushes * FLUSH_MS)

describe('I33: the idle time-out', () => {
  test('begins with the login, and ends the token for good at every instance', async () => {
    const [early, late] = [await logIn(a), await logIn(a)]
    clock.advance(IDLE - TENTH)
    expect(await use(b, early)).toMatchObject({ status: 200 })
    clock.advance(2 * TENTH)
    for (let time = 0; time < 2; time++) {
      for (const instance of [a, b]) {
        expect(await use(instance, late)).toMatchObject(REFUSED)
        expect(JSON.parse((await introspect(instance, late)).body)).toEqual({ active: false })
      }
    }
    expect(await use(b, early), 'which was used').toMatchObject({ status: 200 })
  })

  test('restarts with each use', async () => {
    const token = await logIn(a)
    for (let time = 0; time < 20; time++) {
      clock.advance(IDLE - TENTH)
      expect(await use(a, token)).toMatchObject({ status: 200 })
    }
    clock.advance(IDLE + TENTH)
    for (const instance of [a, b]) expect(await use(instance, token)).toMatchObject(REFUSED)
  })

  test('counts uses at one instance for the others', async () => {
    const token = await logIn(a)
    for (let round = 0; round < 6; round++) {
      const [asked, next] = round % 2 ? [b, a] : [a, b]
      expect(await use(asked, token)).toMatchObject({ status: 200 })
      const usedAt = clock()
      clock.advance(TENTH)
      await waitUntilNoted(asked, usedAt)
      clock.advance(IDLE - 2 * TENTH)
      // The uses that the next instance saw itself are too long ago.
      expect(JSON.parse((await introspect(next, token)).body)).toMatchObject({ active: true })
      expect(await use(next, token)).toMatchObject({ status: 200 })
      await waitUntilNoted(next, clock())
    }
    clock.advance(IDLE + TENTH)
    for (const instance of [a, b]) expect(await use(instance, token)).toMatchObject(REFUSED)
  })

  test('counts the idle time of each token separately', async () => {
    const [used, unused] = [await logIn(a), await logIn(a)]
    for (let time = 0; time < 2; time++) {
      clock.advance(IDLE / 2 + TENTH)
      expect(await use(a, used)).toMatchObject({ status: 200 })
    }
    expect(await use(a, unused)).toMatchObject(REFUSED)
  })

  test('does not restart with a request for a wrong area, nor with an introspection', async () => {
    const token = await logIn(a)
    for (let time = 0; time < 3; time++) {
      clock.advance(IDLE / 4)
      expect(JSON.parse((await introspect(a, token)).body)).toMatchObject({ active: true })
      const wrong = await a.request('/authz/idscan/investigation', { headers: { authorization: token } })
      expect(wrong.status).toBe(403)
    }
    clock.advance(IDLE / 4 + TENTH)
    for (const instance of [a, b]) expect(await use(instance, token)).toMatchObject(REFUSED)
    expect(await stores.uses.lastUse(String(claimsOf(token).jti))).toBeUndefined()
  })

  test('writes a use of the same token at most once per tenth of the time-out', async () => {
    const token = await logIn(a)
    // Two seconds of the clock: writing every new use at once would take several writes.
    for (let time = 0; time < 20; time++) {
      clock.advance(100)
      await Promise.all(Array.from({ length: 5 }, async () => expect((await use(a, token)).status).toBe(200)))
      await waitForFlushes(2)
    }
    expect(a.writes.length).toBeLessThanOrEqual(1)
    // Ten more seconds, one at a time.
    for (let time = 0; time < 10; time++) {
      clock.advance(1_000)
      expect(await use(a, token)).toMatchObject({ status: 200 })
      await waitForFlushes(2)
    }
    await expect.poll(() => a.writes.length).toBeGreaterThan(0)
    expect(a.writes.length).toBeLessThanOrEqual(3)
    const times = a.writes.map(({ now }) => now)
    const gaps = times.slice(1).map((time, at) => time - (times[at] ?? 0))
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(TENTH)
  })

  test('waits a tenth of the time-out before a write also when the last write was long ago', async () => {
    const token = await logIn(a)
    clock.advance(100)
    expect(await use(a, token)).toMatchObject({ status: 200 })
    clock.advance(TENTH)
    await expect.poll(() => a.writes.length).toBe(1)
    clock.advance(200)
    expect(await use(a, token)).toMatchObject({ status: 200 })
    const usedAt = clock()
    await waitForFlushes()
    expect(a.writes).toHaveLength(1)
    clock.advance(TENTH)
    await waitUntilNoted(a, usedAt)
  })

  test('writes the uses of many tokens together', async () => {
    const tokens = await Promise.all(Array.from({ length: 30 }, () => logIn(a)))
    clock.advance(100)
    await Promise.all(tokens.map((token) => use(a, token)))
    clock.advance(TENTH)
    const ids = new Set(tokens.map((token) => String(claimsOf(token).jti)))
    const noted = () => new Set(a.writes.flatMap(({ uses }) => uses.map(({ tokenId }) => tokenId)))
    await expect.poll(() => noted().size).toBe(30)
    expect(noted()).toEqual(ids)
    expect(a.writes.length).toBeLessThanOrEqual(3)
  })

  test('writes pending uses when an instance closes', async () => {
    const token = await logIn(a)
    const ending = await startInstance()
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(ending, token)).toMatchObject({ status: 200 })
    await ending.close()
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(b, token)).toMatchObject({ status: 200 })
  })

  test('writes pending uses once the store is available again', async () => {
    const token = await logIn(a)
    isAway = true
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(a, token)).toMatchObject({ status: 200 })
    const usedAt = clock()
    clock.advance(TENTH)
    await waitForFlushes()
    expect(lastNoted(a)).toBe(0)
    isAway = false
    await waitUntilNoted(a, usedAt)
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(b, token)).toMatchObject({ status: 200 })
  })

  test('answers 503, neither 200 nor 401, while the store is unavailable', async () => {
    const token = await logIn(a)
    clock.advance(IDLE + TENTH)
    isAway = true
    expect(await use(b, token)).toMatchObject({ status: 503, headers: expect.objectContaining({ 'retry-after': '1' }) })
    isAway = false
    expect(await use(b, token)).toMatchObject(REFUSED)
  })

  test('rejects nothing and writes nothing unless it is enforced', async () => {
    const instance = await startInstance({
      ...ENFORCED,
      idscan: { accounts: [ACCOUNT], idleTimeout: '1m', enforceIdleTimeout: false },
    })
    const token = await logIn(instance)
    for (let time = 0; time < 3; time++) {
      clock.advance(3 * IDLE)
      expect(await use(instance, token)).toMatchObject({ status: 200 })
    }
    await waitForFlushes()
    await instance.close()
    expect(instance.writes).toEqual([])
  })
})

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
