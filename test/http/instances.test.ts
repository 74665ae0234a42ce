import { describe, expect, test } from 'vitest'
import { createKey, fingerprintOf } from '../../src/core/crypto/keyring.ts'
import { HEARTBEAT_TTL_MS } from '../../src/core/heartbeat.ts'
import { issueBws } from '../support/lifecycle.ts'
import { KEY, startService } from '../support/service.ts'
import { openStore } from '../support/stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../support/time.ts'

const OTHER_KEY = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'
const [FIRST = '', SECOND = ''] = [KEY, OTHER_KEY].map((key) =>
  fingerprintOf(createKey('', Buffer.from(key, 'base64url'))),
)
const configuration = { keys: [{ secret: KEY }, { secret: OTHER_KEY }], idscan: { accounts: [] } }

describe('a running instance', () => {
  test('announces its keys before the first request and withdraws them when it closes', async () => {
    await using replicas = await openInstances()
    const service = await startService({
      configuration,
      stores: { replicas },
      clock: createFrozenClock(),
    })
    expect(await replicas.running(FROZEN_TIME)).toMatchObject([
      { instance: service.trimint.instanceId, keys: [FIRST, SECOND] },
    ])
    const until = FROZEN_TIME + 10 * 3_600_000 + HEARTBEAT_TTL_MS
    expect(await replicas.neededUntil()).toEqual(new Map([[FIRST, until]]))
    await service.close()
    expect(await replicas.running(FROZEN_TIME)).toEqual([])
    expect(await replicas.neededUntil()).toEqual(new Map([[FIRST, until]]))
  })

  test('repeats the announcement', async () => {
    await using replicas = await openInstances()
    const clock = createFrozenClock()
    await using _service = await startService({ stores: { replicas }, clock })
    clock.advance(HEARTBEAT_TTL_MS)
    expect(await replicas.running(clock())).toEqual([])
    await expect.poll(() => replicas.running(clock())).toHaveLength(1)
  })

  test('serves while it cannot announce its keys, and announces them once it can', async () => {
    await using replicas = await openInstances()
    let isAway = true
    const service = await startService({
      stores: {
        replicas: {
          ...replicas,
          announce: async (...words) => {
            if (isAway) throw new Error('the store of replicas is away')
            await replicas.announce(...words)
          },
        },
      },
    })
    await issueBws(service)
    expect(service.log).toContainEqual(
      expect.objectContaining({ event: 'store.failed', error: 'the store of replicas is away' }),
    )
    isAway = false
    await expect.poll(() => replicas.running(Date.now())).toHaveLength(1)
    await service.close()
  })
})

async function openInstances() {
  const replicas = await openStore('replicas', 'sqlite::memory:')
  return { ...replicas, [Symbol.asyncDispose]: () => replicas.close() }
}
