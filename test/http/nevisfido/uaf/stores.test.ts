import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAX_KEYS_PER_USER } from '../../../../src/core/ports/credential-store.ts'
import type { Authenticator } from '../../../../src/development/authenticator/authenticator.ts'
import { TAG } from '../../../../src/development/authenticator/tlv.ts'
import { openStores, type Stores } from '../../../../src/store/open-stores.ts'
import { codeOf, OPEN, UAF } from '../../../support/nevisfido.ts'
import { hasPostgres, type StartedPostgres, startPostgres } from '../../../support/postgres.ts'
import { hasProgram } from '../../../support/programs.ts'
import { type StartedRedis, startRedis } from '../../../support/redis.ts'
import { type Service, startService } from '../../../support/service.ts'
import { createStoreFolder } from '../../../support/stores.ts'
import { createFrozenClock } from '../../../support/time.ts'
import {
  attempt,
  createPhone,
  createRegisteredPhone,
  respond,
  startSession,
  statusOf,
  withBytes,
} from '../../../support/uaf.ts'

// What the store has to do: keys, counters and outcomes in one step, for several instances.

const INSTANCES = 3
const COPIES = 200

const folder = createStoreFolder('uaf')
let redis: StartedRedis | undefined
let postgres: StartedPostgres | undefined
beforeAll(async () => {
  if (hasProgram('redis-server')) redis = await startRedis()
  if (hasPostgres()) postgres = await startPostgres()
})
afterAll(async () => {
  await redis?.stop()
  await postgres?.stop()
  rmSync(folder, { recursive: true })
})

const kinds = [
  { kind: 'SQLite', urlOf: () => `sqlite:${join(folder, 'uaf.db')}`, isMissing: false },
  { kind: 'Redis', urlOf: () => redis?.url ?? '', isMissing: !hasProgram('redis-server') },
  { kind: 'PostgreSQL', urlOf: async () => (await postgres?.createDatabase()) ?? '', isMissing: !hasPostgres() },
]

describe.each(kinds)('$kind', ({ kind, urlOf, isMissing }) => {
  const clock = createFrozenClock()
  const instances: Service[] = []
  const opened: Stores[] = []
  beforeAll(async () => {
    if (isMissing) return
    const url = await urlOf()
    for (let count = 0; count < INSTANCES; count++) {
      const stores = await openStores(url, {})
      opened.push(stores)
      instances.push(await startService({ clock, stores, configuration: { nevisfido: OPEN } }))
    }
  })
  afterAll(async () => {
    for (const service of instances) await service.close()
    for (const stores of opened) await stores.close()
  })
  const at = (index: number): Service => instances[index % INSTANCES] as Service

  let count = 0
  const newUser = () => `${kind}-${count++}`

  test.skipIf(isMissing)('U27, U29, U31, U6: instances share keys, counters and deregistrations', async () => {
    const username = newUser()
    const phone = await createRegisteredPhone(at(0), {}, username)
    const context = { username }
    expect((await attempt(at(1), phone, 'authentication', {}, context)).code).toBe(1200)
    expect((await attempt(at(2), phone, 'authentication', { misbehave: 'clonedCounter' }, context)).code).toBe(1498)
    expect((await attempt(at(2), phone, 'authentication', {}, context)).code).toBe(1200)
    const keyId = Buffer.from(phone.keys[0]?.keyId ?? '', 'base64url')
    const copy = { signed: withBytes(TAG.KEYID, (bytes) => void keyId.copy(bytes)) }
    expect(
      (await attempt(at(1), createPhone(at(1)), 'registration', { change: copy }, { username: newUser() })).code,
    ).toBe(1494)
    const pending = await startSession(at(1), 'authentication', context)
    const { body } = await phone.answer(pending.uafRequest)
    const { uafRequest } = await startSession(at(2), 'deregistration', context)
    expect(JSON.parse(uafRequest)[0].authenticators).toEqual([
      { aaid: phone.keys[0]?.aaid, keyID: phone.keys[0]?.keyId },
    ])
    expect(codeOf(await respond(at(0), 'authentication', body))).toBe(1481)
  })

  test.skipIf(isMissing)(
    'U34: of 200 copies of one answer at three instances, one is taken and the others get 1491',
    async () => {
      for (const operation of ['registration', 'authentication'] as const) {
        const username = newUser()
        const phone = await createRegisteredPhone(at(0), {}, username)
        const { uafRequest, sessionId } = await startSession(at(0), operation, { username })
        const { body } = await phone.answer(uafRequest)
        const codes = await sendAtOnce(
          operation,
          Array.from({ length: COPIES }, () => body),
        )
        expect(codes.filter((code) => code === 1200)).toHaveLength(1)
        expect(codes.filter((code) => code === 1491)).toHaveLength(COPIES - 1)
        expect(await statusOf(at(1), sessionId)).toMatchObject({ status: 'succeeded', uafStatusCode: 1200 })
      }
    },
  )

  test.skipIf(isMissing)(
    'U34: of a good and bad answers at once, one settles the session and its status agrees',
    async () => {
      for (let round = 0; round < 5; round++) {
        const { uafRequest, sessionId } = await startSession(at(round), 'registration', { username: newUser() })
        const phone = createPhone(at(0))
        const good = await phone.answer(uafRequest)
        const bad = await phone.answer(uafRequest, { misbehave: 'wrongKey' })
        const codes = await sendAtOnce('registration', [bad.body, good.body, bad.body, good.body])
        const settled = codes.filter((code) => code !== 1491)
        expect(settled).toHaveLength(1)
        expect(await statusOf(at(round), sessionId)).toMatchObject({ uafStatusCode: settled[0] })
      }
    },
  )

  test.skipIf(isMissing)(
    'U34, U31: of answers with one counter in several sessions at once, one is taken',
    async () => {
      const username = newUser()
      const phone = await createRegisteredPhone(at(0), {}, username)
      const bodies = await answerSessions(phone, username, 9, () => 50)
      const codes = await sendAtOnce('authentication', bodies)
      expect(codes.filter((code) => code === 1200)).toHaveLength(1)
      expect(codes.filter((code) => code === 1498)).toHaveLength(8)
    },
  )

  test.skipIf(isMissing)('U34, U31: a counter never goes back, in whatever order answers arrive', async () => {
    const username = newUser()
    const phone = await createRegisteredPhone(at(0), {}, username)
    const bodies = await answerSessions(phone, username, 9, (index) => 10 + index)
    const codes = await sendAtOnce('authentication', bodies.toReversed())
    expect(codes).toContain(1200)
    const [behind, ahead] = [19 - codes.indexOf(1200) - 1, 19]
    const [low, high] = await answerSessions(phone, username, 2, (index) => (index === 0 ? behind : ahead))
    expect(await sendAtOnce('authentication', [low])).toEqual([1498])
    expect(await sendAtOnce('authentication', [high])).toEqual([1200])
  })

  test.skipIf(isMissing)(
    'U34, U27: of registrations of one key id for several users at once, one is taken',
    async () => {
      const keyId = Buffer.alloc(32, `${kind} key`)
      const change = { signed: withBytes(TAG.KEYID, (bytes) => void keyId.copy(bytes)) }
      const sessions = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const { uafRequest } = await startSession(at(0), 'registration', { username: newUser() })
          return (await createPhone(at(0)).answer(uafRequest, { change })).body
        }),
      )
      const codes = await sendAtOnce('registration', sessions)
      expect(codes.filter((code) => code === 1200)).toHaveLength(1)
      expect(codes.filter((code) => code === 1494)).toHaveLength(5)
    },
  )

  test.skipIf(isMissing)(
    'U38: of registrations of a user at once, as many hold as the limit allows, and the others get 1403',
    async () => {
      const username = newUser()
      const sessions = await Promise.all(
        Array.from({ length: MAX_KEYS_PER_USER + 4 }, async (_, index) => {
          const { uafRequest, sessionId } = await startSession(at(index), 'registration', { username })
          const { body } = await createPhone(at(index)).answer(uafRequest)
          return { sessionId, body }
        }),
      )
      const codes = await sendAtOnce(
        'registration',
        sessions.map(({ body }) => body),
      )
      expect(codes.filter((code) => code === 1200)).toHaveLength(MAX_KEYS_PER_USER)
      expect(codes.filter((code) => code === 1403)).toHaveLength(4)
      const { sessionId = '' } = sessions[codes.indexOf(1403)] ?? {}
      expect(await statusOf(at(1), sessionId)).toMatchObject({ status: 'failed', uafStatusCode: 1403 })
      await startSession(at(0), 'deregistration', { username })
      expect((await attempt(at(2), createPhone(at(2)), 'registration', {}, { username })).code).toBe(1200)
    },
  )

  /** Answers this many sessions of a user, each with a counter. */
  async function answerSessions(
    phone: Authenticator,
    username: string,
    sessions: number,
    counterOf: (index: number) => number,
  ) {
    const bodies: unknown[] = []
    for (let index = 0; index < sessions; index++) {
      const { uafRequest } = await startSession(at(index), 'authentication', { username })
      const change = { signed: withBytes(TAG.COUNTERS, (bytes) => void bytes.writeUInt32LE(counterOf(index))) }
      bodies.push((await phone.answer(uafRequest, { change })).body)
    }
    return bodies
  }

  /** Sends bodies to the instances in turn, over connections of their own. */
  async function sendAtOnce(
    operation: 'registration' | 'authentication',
    bodies: readonly unknown[],
  ): Promise<number[]> {
    return Promise.all(bodies.map((body, index) => send(`${at(index).url}/nevisfido/uaf/1.1/${operation}`, body)))
  }

  /** Sends a body until the store answers in time: so many at once can take it more than its second on a busy machine. */
  async function send(url: string, body: unknown): Promise<number> {
    const headers = { 'content-type': `${UAF};charset=UTF-8`, accept: UAF }
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    const { statusCode } = (await response.json()) as { statusCode: number }
    return statusCode === 1500 ? send(url, body) : statusCode
  }
})
