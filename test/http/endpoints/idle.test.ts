import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Use } from '../../../src/core/ports/usage-store.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { ACCOUNT, encodeForm, jsonOf, login } from '../../support/idscan.ts'
import { basic, type Service, type ServiceOptions, startService } from '../../support/service.ts'
import { createFrozenClock, type FrozenClock } from '../../support/time.ts'

// The idle time-out where it is enforced: two replicas on one store, and a clock that they share.

/** Milliseconds. */
const IDLE = 60_000
/** The time-out holds to a tenth of itself. */
const TENTH = IDLE / 10

const REFUSED = { status: 401, body: '{"Message":"Authorization has been denied for this request."}' }
const GATEWAY = { id: 'gateway', secret: 'the secret of the gateway' }
const ENFORCED: NonNullable<ServiceOptions['configuration']> = {
  idscan: { accounts: [ACCOUNT], idleTimeout: '1m', enforceIdleTimeout: true },
  resourceServers: [{ id: GATEWAY.id, secret: `plain:${GATEWAY.secret}` }],
}

/** One write of a replica: what it noted, and when. */
interface Write {
  readonly now: number
  readonly uses: readonly Use[]
}

interface Replica extends Service {
  /** What it has had noted, and the store has taken. */
  readonly writes: Write[]
}

let clock: FrozenClock
let stores: Stores
let isAway: boolean
let a: Replica
let b: Replica

/** A process of its own, as far as its memory goes. */
async function startReplica(configuration = ENFORCED): Promise<Replica> {
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
  const service = await startService({ configuration, clock, stores: { ...stores, uses } })
  return { ...service, writes }
}

beforeEach(async () => {
  clock = createFrozenClock()
  isAway = false
  stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  ;[a, b] = await Promise.all([startReplica(), startReplica()])
})
afterEach(async () => {
  await Promise.all([a.close(), b.close()])
  await stores.close()
})

const logIn = async (replica: Service): Promise<string> => String(jsonOf(await login(replica)).access_token)

const use = (replica: Service, token: string) =>
  replica.request('/authz/idscan/scanning', { headers: { authorization: token } })

const introspect = (replica: Service, token: string) =>
  replica.request('/introspect', {
    method: 'POST',
    body: encodeForm({ token }),
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic(GATEWAY.id, GATEWAY.secret) },
  })

/** The latest use that a replica has had noted, in milliseconds since the epoch. */
const lastNoted = ({ writes }: Replica): number =>
  Math.max(0, ...writes.flatMap(({ uses }) => uses.map(({ usedAt }) => usedAt)))

/** A replica notes a use late, by a tenth of the time-out at most: waits until it has noted one of this time. */
async function waitUntilNoted(replica: Replica, usedAt: number): Promise<void> {
  await expect.poll(() => lastNoted(replica), { timeout: 5_000, interval: 20 }).toBe(usedAt)
}

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds))

describe('I33: the idle time-out', () => {
  test('begins with the login, and ends the token for good, everywhere', async () => {
    const [early, late] = [await logIn(a), await logIn(a)]
    clock.advance(IDLE - TENTH)
    expect(await use(b, early)).toMatchObject({ status: 200 })
    clock.advance(2 * TENTH)
    for (let time = 0; time < 2; time++) {
      for (const replica of [a, b]) {
        expect(await use(replica, late)).toMatchObject(REFUSED)
        expect(JSON.parse((await introspect(replica, late)).body)).toEqual({ active: false })
      }
    }
    expect(await use(b, early), 'which was used').toMatchObject({ status: 200 })
  })

  test('slides with each use', async () => {
    const token = await logIn(a)
    for (let time = 0; time < 20; time++) {
      clock.advance(IDLE - TENTH)
      expect(await use(a, token)).toMatchObject({ status: 200 })
    }
    clock.advance(IDLE + TENTH)
    for (const replica of [a, b]) expect(await use(replica, token)).toMatchObject(REFUSED)
  })

  test('is shared: whoever was asked last, the others know', { timeout: 60_000 }, async () => {
    const token = await logIn(a)
    for (let round = 0; round < 6; round++) {
      const [asked, next] = round % 2 ? [b, a] : [a, b]
      expect(await use(asked, token)).toMatchObject({ status: 200 })
      const usedAt = clock()
      clock.advance(TENTH)
      await waitUntilNoted(asked, usedAt)
      clock.advance(IDLE - 2 * TENTH)
      // All that the next one saw itself is too long ago.
      expect(JSON.parse((await introspect(next, token)).body)).toMatchObject({ active: true })
      expect(await use(next, token)).toMatchObject({ status: 200 })
      await waitUntilNoted(next, clock())
    }
    clock.advance(IDLE + TENTH)
    for (const replica of [a, b]) expect(await use(replica, token)).toMatchObject(REFUSED)
  })

  test('keeps tokens apart', async () => {
    const [used, unused] = [await logIn(a), await logIn(a)]
    for (let time = 0; time < 2; time++) {
      clock.advance(IDLE / 2 + TENTH)
      expect(await use(a, used)).toMatchObject({ status: 200 })
    }
    expect(await use(a, unused)).toMatchObject(REFUSED)
  })

  test('what is refused is no use: neither where the area is wrong, nor an introspection', async () => {
    const token = await logIn(a)
    for (let time = 0; time < 3; time++) {
      clock.advance(IDLE / 4)
      expect(JSON.parse((await introspect(a, token)).body)).toMatchObject({ active: true })
      const wrong = await a.request('/authz/idscan/investigation', { headers: { authorization: token } })
      expect(wrong.status).toBe(403)
    }
    clock.advance(IDLE / 4 + TENTH)
    for (const replica of [a, b]) expect(await use(replica, token)).toMatchObject(REFUSED)
    expect(await stores.uses.lastUse(String(claimsOf(token).jti))).toBeUndefined()
  })

  test('writes a token no more often than every tenth, however often it is used', { timeout: 30_000 }, async () => {
    const token = await logIn(a)
    // Two seconds of the clock, in five real ones: whoever wrote all that is new would have written a few times.
    for (let time = 0; time < 20; time++) {
      clock.advance(100)
      await Promise.all(Array.from({ length: 5 }, async () => expect((await use(a, token)).status).toBe(200)))
      await pause(250)
    }
    expect(a.writes.length).toBeLessThanOrEqual(1)
    // Ten seconds at a time that nothing else passes in.
    for (let time = 0; time < 10; time++) {
      clock.advance(1_000)
      expect(await use(a, token)).toMatchObject({ status: 200 })
      await pause(150)
    }
    await expect.poll(() => a.writes.length, { timeout: 5_000 }).toBeGreaterThan(0)
    expect(a.writes.length).toBeLessThanOrEqual(3)
    const times = a.writes.map(({ now }) => now)
    const gaps = times.slice(1).map((time, at) => time - (times[at] ?? 0))
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(TENTH)
  })

  test('writes no sooner where the use that it wrote last was long ago', async () => {
    const token = await logIn(a)
    clock.advance(100)
    expect(await use(a, token)).toMatchObject({ status: 200 })
    clock.advance(TENTH)
    await expect.poll(() => a.writes.length, { timeout: 5_000 }).toBe(1)
    clock.advance(200)
    expect(await use(a, token)).toMatchObject({ status: 200 })
    const usedAt = clock()
    await pause(2_500)
    expect(a.writes).toHaveLength(1)
    clock.advance(TENTH)
    await waitUntilNoted(a, usedAt)
  })

  test('writes many tokens in one go', async () => {
    const tokens = await Promise.all(Array.from({ length: 30 }, () => logIn(a)))
    clock.advance(2 * TENTH)
    await Promise.all(tokens.map((token) => use(a, token)))
    clock.advance(TENTH)
    const ids = new Set(tokens.map((token) => String(claimsOf(token).jti)))
    const noted = () => new Set(a.writes.flatMap(({ uses }) => uses.map(({ tokenId }) => tokenId)))
    await expect.poll(() => noted().size, { timeout: 5_000 }).toBe(30)
    expect(noted()).toEqual(ids)
    expect(a.writes.length).toBeLessThanOrEqual(3)
  })

  test('a replica that ends leaves behind what it knows', async () => {
    const token = await logIn(a)
    const ending = await startReplica()
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(ending, token)).toMatchObject({ status: 200 })
    await ending.close()
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(b, token)).toMatchObject({ status: 200 })
  })

  test('what the store did not take is noted once it is back', async () => {
    const token = await logIn(a)
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(a, token)).toMatchObject({ status: 200 })
    const usedAt = clock()
    isAway = true
    clock.advance(TENTH)
    await pause(2_500)
    expect(lastNoted(a)).toBe(0)
    isAway = false
    await waitUntilNoted(a, usedAt)
    clock.advance(IDLE - 2 * TENTH)
    expect(await use(b, token)).toMatchObject({ status: 200 })
  })

  test('while the store is away, nobody says that a token was idle, and nobody lets it pass', async () => {
    const token = await logIn(a)
    clock.advance(IDLE + TENTH)
    isAway = true
    expect(await use(b, token)).toMatchObject({ status: 503, headers: expect.objectContaining({ 'retry-after': '1' }) })
    isAway = false
    expect(await use(b, token)).toMatchObject(REFUSED)
  })

  test('that is not enforced refuses nothing and writes nothing', async () => {
    const replica = await startReplica({
      ...ENFORCED,
      idscan: { accounts: [ACCOUNT], idleTimeout: '1m', enforceIdleTimeout: false },
    })
    const token = await logIn(replica)
    for (let time = 0; time < 3; time++) {
      clock.advance(3 * IDLE)
      expect(await use(replica, token)).toMatchObject({ status: 200 })
    }
    await pause(1_500)
    await replica.close()
    expect(replica.writes).toEqual([])
  })
})

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
