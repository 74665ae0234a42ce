import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createKey, fingerprintOf } from '../../../src/core/crypto/keyring.ts'
import { createHeartbeat, createInstance, HEARTBEAT_TTL_MS, type Instance } from '../../../src/core/heartbeat.ts'
import type { InstanceStore } from '../../../src/core/ports/instance-store.ts'
import { openStore } from '../../support/stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const MINUTE = 60_000
const [first, second] = [
  createKey('first', new Uint8Array(32).fill(1)),
  createKey('second', new Uint8Array(32).fill(2)),
]
const [FIRST, SECOND] = [fingerprintOf(first), fingerprintOf(second)]

let clock: ReturnType<typeof createFrozenClock>
let sound: InstanceStore
let instance: Instance
let isFailing: boolean
let announcements: number
/** Delays every step until it resolves. */
let before: Promise<void>

beforeEach(async () => {
  clock = createFrozenClock()
  sound = await openStore('replicas', 'sqlite::memory:')
  instance = createInstance('instance')
  isFailing = false
  announcements = 0
  before = Promise.resolve()
})
afterEach(() => sound.close())

async function reach(): Promise<void> {
  const wasFailing = isFailing
  await before
  if (wasFailing) throw new Error('store failed')
}

const store = (): InstanceStore => ({
  ...sound,
  announce: async (...words) => {
    announcements += 1
    await reach()
    await sound.announce(...words)
  },
  leave: (...words) => reach().then(() => sound.leave(...words)),
})

function createHeartbeatWith(keyring = [first, second], lifetimeSeconds = 600) {
  return createHeartbeat({ store: store(), instance, keyring, lifetimeSeconds, clock })
}

const running = async () => (await sound.running(clock())).map(({ instance: name, keys }) => ({ instance: name, keys }))
const neededUntil = async () => Object.fromEntries(await sound.neededUntil())

describe('announce', () => {
  test('announces every live key, the signing key first, and until when its tokens can live', async () => {
    await createHeartbeatWith().announce()
    expect(await running()).toEqual([{ instance: 'instance', keys: [FIRST, SECOND] }])
    expect(await neededUntil()).toEqual({ [FIRST]: FROZEN_TIME + 10 * MINUTE + HEARTBEAT_TTL_MS })
  })

  test('announces for fifteen seconds', async () => {
    await createHeartbeatWith().announce()
    clock.advance(HEARTBEAT_TTL_MS - 1)
    expect(await running()).toHaveLength(1)
    clock.advance(1)
    expect(await running()).toEqual([])
  })

  test('leaves an expired key out of the announcement', async () => {
    const expiring = createKey('first', new Uint8Array(32).fill(1), FROZEN_TIME + MINUTE)
    const heartbeat = createHeartbeatWith([expiring, second])
    await heartbeat.announce()
    clock.advance(MINUTE)
    await heartbeat.announce()
    expect(await running()).toEqual([{ instance: 'instance', keys: [SECOND] }])
    expect(await neededUntil()).toMatchObject({ [SECOND]: FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS })
  })

  test('announces no keys when none is live', async () => {
    await createHeartbeatWith([createKey('first', new Uint8Array(32).fill(1), FROZEN_TIME)]).announce()
    expect(await running()).toEqual([{ instance: 'instance', keys: [] }])
    expect(await neededUntil()).toEqual({})
  })

  test('joins an announcement that is in progress', async () => {
    const heartbeat = createHeartbeatWith()
    await Promise.all([heartbeat.announce(), heartbeat.announce()])
    expect(announcements).toBe(1)
    await heartbeat.announce()
    expect(announcements).toBe(2)
  })
})

describe('leave', () => {
  test('withdraws the announcement on leave, and keeps the signing key needed', async () => {
    const heartbeat = createHeartbeatWith()
    await heartbeat.announce()
    clock.advance(MINUTE)
    await heartbeat.leave()
    expect(await running()).toEqual([])
    expect(await neededUntil()).toEqual({ [FIRST]: FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS })
  })

  test('withdraws the announcement on leave even while one is in progress', async () => {
    let arrive = (): void => undefined
    before = new Promise((done) => {
      arrive = done
    })
    const heartbeat = createHeartbeatWith()
    const announced = heartbeat.announce()
    before = Promise.resolve()
    const left = heartbeat.leave()
    await heartbeat.announce()
    arrive()
    await Promise.all([announced, left])
    expect(await running()).toEqual([])
  })

  test('withdraws the announcement on leave after one that failed', async () => {
    const heartbeat = createHeartbeatWith()
    await heartbeat.announce()
    isFailing = true
    const announced = heartbeat.announce().catch((error: Error) => error.message)
    isFailing = false
    await heartbeat.leave()
    expect(await announced).toBe('store failed')
    expect(await running()).toEqual([])
  })
})

describe('failing store', () => {
  test('rejects while the store fails, and reports the missed key with the next announcement', async () => {
    isFailing = true
    const expiring = createKey('first', new Uint8Array(32).fill(1), FROZEN_TIME + MINUTE)
    const heartbeat = createHeartbeatWith([expiring, second])
    await expect(heartbeat.announce()).rejects.toThrow('store failed')
    isFailing = false
    clock.advance(MINUTE)
    await heartbeat.announce()
    expect(await neededUntil()).toEqual({
      [FIRST]: FROZEN_TIME + 10 * MINUTE + HEARTBEAT_TTL_MS,
      [SECOND]: FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS,
    })
    expect(instance.unreported.size).toBe(0)
  })

  test('reports what the previous configuration could not', async () => {
    const replaced = createHeartbeatWith([first, second], 36_000)
    isFailing = true
    await expect(replaced.announce()).rejects.toThrow('store failed')
    await expect(replaced.leave()).rejects.toThrow('store failed')
    isFailing = false
    await createHeartbeatWith([second, first]).announce()
    expect(await neededUntil()).toEqual({
      [FIRST]: FROZEN_TIME + 600 * MINUTE + HEARTBEAT_TTL_MS,
      [SECOND]: FROZEN_TIME + 10 * MINUTE + HEARTBEAT_TTL_MS,
    })
  })

  test('keeps the longer lifetime of two configurations', async () => {
    isFailing = true
    await expect(createHeartbeatWith([first], 36_000).announce()).rejects.toThrow('store failed')
    const replacement = createHeartbeatWith([first], 600)
    await expect(replacement.announce()).rejects.toThrow('store failed')
    isFailing = false
    await replacement.announce()
    expect(await neededUntil()).toEqual({ [FIRST]: FROZEN_TIME + 600 * MINUTE + HEARTBEAT_TTL_MS })
  })
})

test('announces both configurations during a change', async () => {
  const [replaced, replacement] = [createHeartbeatWith([first]), createHeartbeatWith([first, second])]
  await Promise.all([replaced.announce(), replacement.announce()])
  expect(await running()).toEqual([
    { instance: 'instance', keys: [FIRST] },
    { instance: 'instance', keys: [FIRST, SECOND] },
  ])
  await replaced.leave()
  expect(await running()).toEqual([{ instance: 'instance', keys: [FIRST, SECOND] }])
})

test('keeps a later time that another configuration notes during a report', async () => {
  const [one, other] = [createHeartbeatWith([first]), createHeartbeatWith([first])]
  const announced = one.announce()
  clock.advance(MINUTE)
  isFailing = true
  await expect(other.announce()).rejects.toThrow('store failed')
  await announced
  isFailing = false
  expect([...instance.unreported]).toEqual([[FIRST, FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS]])
})
