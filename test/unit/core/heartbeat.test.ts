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
let isAway: boolean
/** What a step waits for before it reaches the store. */
let before: Promise<void>

beforeEach(async () => {
  clock = createFrozenClock()
  sound = await openStore('replicas', 'sqlite::memory:')
  instance = createInstance('instance')
  isAway = false
  before = Promise.resolve()
})
afterEach(() => sound.close())

async function reach(): Promise<void> {
  const wasAway = isAway
  await before
  if (wasAway) throw new Error('the store is away')
}

const store = (): InstanceStore => ({
  ...sound,
  announce: (...words) => reach().then(() => sound.announce(...words)),
  leave: (...words) => reach().then(() => sound.leave(...words)),
})

function announcerWith(keyring = [first, second], lifetime = 600) {
  return createHeartbeat({ store: store(), instance, keyring, lifetime, clock })
}

const running = async () => (await sound.running(clock())).map(({ instance: name, keys }) => ({ instance: name, keys }))
const neededUntil = async () => Object.fromEntries(await sound.neededUntil())

describe('an announcement', () => {
  test('names every live key, the signer first, and until when what it signs can live', async () => {
    await announcerWith().announce()
    expect(await running()).toEqual([{ instance: 'instance', keys: [FIRST, SECOND] }])
    expect(await neededUntil()).toEqual({ [FIRST]: FROZEN_TIME + 10 * MINUTE + HEARTBEAT_TTL_MS })
  })

  test('holds for fifteen seconds', async () => {
    await announcerWith().announce()
    clock.advance(HEARTBEAT_TTL_MS - 1)
    expect(await running()).toHaveLength(1)
    clock.advance(1)
    expect(await running()).toEqual([])
  })

  test('leaves out a key that has expired: the next one signs', async () => {
    const expiring = createKey('first', new Uint8Array(32).fill(1), FROZEN_TIME + MINUTE)
    const announcer = announcerWith([expiring, second])
    await announcer.announce()
    clock.advance(MINUTE)
    await announcer.announce()
    expect(await running()).toEqual([{ instance: 'instance', keys: [SECOND] }])
    expect(await neededUntil()).toMatchObject({ [SECOND]: FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS })
  })

  test('without any live key names none, and nothing is needed', async () => {
    await announcerWith([createKey('first', new Uint8Array(32).fill(1), FROZEN_TIME)]).announce()
    expect(await running()).toEqual([{ instance: 'instance', keys: [] }])
    expect(await neededUntil()).toEqual({})
  })

  test('that is under way is not made twice', async () => {
    const announcer = announcerWith()
    expect(announcer.announce()).toBe(announcer.announce())
    await announcer.announce()
  })
})

describe('a goodbye', () => {
  test('takes it back; what was signed up to then goes on being needed', async () => {
    const announcer = announcerWith()
    await announcer.announce()
    clock.advance(MINUTE)
    await announcer.leave()
    expect(await running()).toEqual([])
    expect(await neededUntil()).toEqual({ [FIRST]: FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS })
  })

  test('is the last word, also behind an announcement that is still under way', async () => {
    let arrive = (): void => undefined
    before = new Promise((done) => {
      arrive = done
    })
    const announcer = announcerWith()
    const announced = announcer.announce()
    before = Promise.resolve()
    const left = announcer.leave()
    await announcer.announce()
    arrive()
    await Promise.all([announced, left])
    expect(await running()).toEqual([])
  })

  test('comes also after an announcement that fails', async () => {
    const announcer = announcerWith()
    await announcer.announce()
    isAway = true
    const announced = announcer.announce().catch((error: Error) => error.message)
    isAway = false
    await announcer.leave()
    expect(await announced).toBe('the store is away')
    expect(await running()).toEqual([])
  })
})

describe('while the store is away', () => {
  test('it is said that it could not be told, and told with the next one', async () => {
    isAway = true
    const expiring = createKey('first', new Uint8Array(32).fill(1), FROZEN_TIME + MINUTE)
    const announcer = announcerWith([expiring, second])
    await expect(announcer.announce()).rejects.toThrow('the store is away')
    isAway = false
    clock.advance(MINUTE)
    await announcer.announce()
    expect(await neededUntil()).toEqual({
      [FIRST]: FROZEN_TIME + 10 * MINUTE + HEARTBEAT_TTL_MS,
      [SECOND]: FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS,
    })
    expect(instance.unreported.size).toBe(0)
  })

  test('what one configuration could not tell, the next one does', async () => {
    const replaced = announcerWith([first, second], 36_000)
    isAway = true
    await expect(replaced.announce()).rejects.toThrow('the store is away')
    await expect(replaced.leave()).rejects.toThrow('the store is away')
    isAway = false
    await announcerWith([second, first]).announce()
    expect(await neededUntil()).toEqual({
      [FIRST]: FROZEN_TIME + 600 * MINUTE + HEARTBEAT_TTL_MS,
      [SECOND]: FROZEN_TIME + 10 * MINUTE + HEARTBEAT_TTL_MS,
    })
  })

  test('a shorter lifetime does not make up for a longer one', async () => {
    isAway = true
    await expect(announcerWith([first], 36_000).announce()).rejects.toThrow('the store is away')
    const replacement = announcerWith([first], 600)
    await expect(replacement.announce()).rejects.toThrow('the store is away')
    isAway = false
    await replacement.announce()
    expect(await neededUntil()).toEqual({ [FIRST]: FROZEN_TIME + 600 * MINUTE + HEARTBEAT_TTL_MS })
  })
})

test('between two configurations a process speaks for both', async () => {
  const [replaced, replacement] = [announcerWith([first]), announcerWith([first, second])]
  await Promise.all([replaced.announce(), replacement.announce()])
  expect(await running()).toEqual([
    { instance: 'instance', keys: [FIRST] },
    { instance: 'instance', keys: [FIRST, SECOND] },
  ])
  await replaced.leave()
  expect(await running()).toEqual([{ instance: 'instance', keys: [FIRST, SECOND] }])
})

test('what is noted under one configuration while another is telling is told later', async () => {
  const [one, other] = [announcerWith([first]), announcerWith([first])]
  const announced = one.announce()
  clock.advance(MINUTE)
  isAway = true
  await expect(other.announce()).rejects.toThrow('the store is away')
  await announced
  isAway = false
  expect([...instance.unreported]).toEqual([[FIRST, FROZEN_TIME + 11 * MINUTE + HEARTBEAT_TTL_MS]])
})
