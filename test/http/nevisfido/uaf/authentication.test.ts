import { hash } from 'node:crypto'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Authenticator } from '../../../../src/development/authenticator/authenticator.ts'
import type { AnswerChanges } from '../../../../src/development/authenticator/misbehaviour.ts'
import { TAG } from '../../../../src/development/authenticator/tlv.ts'
import type { UafResponse } from '../../../../src/development/authenticator/uaf-message.ts'
import { codeOf, OPEN } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import {
  AAID,
  attempt,
  createPhone,
  createRegisteredPhone,
  INFO,
  respond,
  startSession,
  statusOf,
  withAlgorithm,
  withBytes,
  without,
  withValue,
} from '../../../support/uaf.ts'
import { createStatement } from '../../../support/uaf-metadata.ts'

const OTHER_AAID = 'FFFF#0002'
const STATED = 'FFFF#0003'
const any = { authenticationAlgorithms: [1], assertionSchemes: ['UAFV1TLV'] }
const nevisfido = { ...OPEN, policies: { two: { accepted: [[any, any]] }, default: { accepted: [[any]] } } }
const clock = createFrozenClock()
const service = await startService({ clock, configuration: { nevisfido } })
afterAll(() => service.close())

let username = ''
let phone: Authenticator
let count = 0
beforeEach(async () => {
  username = `user-${count++}`
  phone = await createRegisteredPhone(service, {}, username)
})

const authenticate = (change: AnswerChanges = {}, context: object = {}, by = phone) =>
  attempt(service, by, 'authentication', { change }, { username, ...context })

/** Authenticates with the first key, whatever the request's policy says. */
function withAnyPolicy(by: Authenticator): Authenticator {
  const open = (uafRequest: string) => {
    const [request] = JSON.parse(uafRequest)
    return JSON.stringify([{ ...request, policy: { accepted: [[{}]] } }])
  }
  return { ...by, answer: (uafRequest, behaviour) => by.answer(open(uafRequest), behaviour) }
}

describe('the key', () => {
  test('U29: returns 1481 for a key that is not registered', async () => {
    const change = { signed: withValue(TAG.KEYID, Buffer.alloc(32, 9)) }
    expect((await authenticate(change)).code).toBe(1481)
    expect((await authenticate({ signed: withValue(TAG.AAID, Buffer.from(OTHER_AAID)) })).code).toBe(1481)
  })

  test('U29: returns 1481 for a key that was deregistered', async () => {
    await startSession(service, 'deregistration', { username })
    expect((await authenticate({}, {}, withAnyPolicy(phone))).code).toBe(1481)
  })

  test("U29: returns 1401 for a key of another user than the session's", async () => {
    const context = { username: `another-${username}` }
    expect((await attempt(service, phone, 'authentication', {}, context)).code).toBe(1401)
    const other = await createRegisteredPhone(service, {}, context.username)
    expect((await authenticate({}, {}, withAnyPolicy(other))).code).toBe(1401)
  })

  test('U29: returns 1403 where the owner of the key is no longer a user', async () => {
    const { stores } = service
    await using smaller = await startService({
      clock,
      stores,
      configuration: { nevisfido: { ...nevisfido, users: ['nobody'] } },
    })
    const { uafRequest } = await startSession(smaller, 'authentication', {})
    const { body } = await phone.answer(uafRequest)
    expect(codeOf(await respond(smaller, 'authentication', body))).toBe(1403)
  })

  test('U26: with attestation basic, returns 1480 for a key whose model has no statement', async () => {
    const { stores } = service
    const configuration = {
      nevisfido: { ...nevisfido, attestation: 'basic' as const, metadata: [createStatement({ aaid: STATED })] },
    }
    await using strict = await startService({ clock, stores, configuration })
    expect((await attempt(strict, phone, 'authentication', {}, { username })).code).toBe(1480)
  })
})

describe('the signature', () => {
  test.each([2, 3, 5, 7, 0])(
    'U30: returns 1495 for algorithm %i with a key that was registered with 1',
    async (algorithm) => {
      expect((await authenticate({ signed: withAlgorithm(algorithm) })).code).toBe(1495)
    },
  )

  test('U30: returns 1498 for a signature by another key', async () => {
    expect((await attempt(service, phone, 'authentication', { misbehave: 'wrongKey' }, { username })).code).toBe(1498)
    expect((await authenticate()).code).toBe(1200)
  })

  test.each([
    { title: 'a byte changed', change: (bytes: Buffer) => void bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5) },
    { title: 'zeros', change: (bytes: Buffer) => void bytes.fill(0) },
  ])('U30: returns 1498 for a signature with $title', async ({ change }) => {
    expect((await authenticate({ assertion: withBytes(TAG.SIGNATURE, change) })).code).toBe(1498)
  })
})

describe('SignCounter', () => {
  const counterOf = (value: number): AnswerChanges => ({
    signed: withBytes(TAG.COUNTERS, (bytes) => void bytes.writeUInt32LE(value)),
  })

  test('U31: accepts greater counters, up to the largest of 32 bits', async () => {
    for (const value of [2, 100, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
      expect((await authenticate(counterOf(value))).code, String(value)).toBe(1200)
    for (const value of [0xffff_ffff, 0, 1])
      expect((await authenticate(counterOf(value))).code, String(value)).toBe(1498)
  })

  test('U31: returns 1498 for the counter of the last success and for a smaller one', async () => {
    expect((await authenticate(counterOf(10))).code).toBe(1200)
    for (const value of [10, 9, 1, 0]) expect((await authenticate(counterOf(value))).code, String(value)).toBe(1498)
    expect((await authenticate(counterOf(11))).code).toBe(1200)
  })

  test('U31: returns 1498 to a clone of the authenticator, and goes on with the original', async () => {
    const { code } = await attempt(service, phone, 'authentication', { misbehave: 'clonedCounter' }, { username })
    expect(code).toBe(1498)
    expect((await authenticate()).code).toBe(1200)
  })

  test('U31: does not store the counter of an answer that failed', async () => {
    const { code } = await attempt(
      service,
      phone,
      'authentication',
      { misbehave: 'wrongKey', change: counterOf(1_000) },
      { username },
    )
    expect(code).toBe(1498)
    expect((await authenticate(counterOf(2))).code).toBe(1200)
  })

  test('U31: accepts 0 from an authenticator that has always sent 0', async () => {
    const context = { username: `zero-${username}` }
    const zero = createPhone(service)
    expect((await attempt(service, zero, 'registration', { change: counterOf(0) }, context)).code).toBe(1200)
    for (let times = 0; times < 2; times++)
      expect((await attempt(service, zero, 'authentication', { change: counterOf(0) }, context)).code).toBe(1200)
    expect((await attempt(service, zero, 'authentication', { change: counterOf(5) }, context)).code).toBe(1200)
    expect((await attempt(service, zero, 'authentication', { change: counterOf(0) }, context)).code).toBe(1498)
  })
})

describe('the transaction', () => {
  const contents = ['Pay 100 to Anna?', 'Pay 100 EUR to Anna?']
  const transaction = contents.map((text) => ({
    contentType: 'text/plain',
    content: Buffer.from(text).toString('base64'),
  }))
  const mode = (value: number) => withBytes(TAG.ASSERTION_INFO, (info) => void info.writeUInt8(value, INFO.MODE))
  const hashOf = (text: string) => hash('sha256', text, 'buffer')
  const confirming = (text: string): AnswerChanges => ({
    signed: withValue(TAG.TRANSACTION_CONTENT_HASH, hashOf(text)),
  })
  const both = (value: number, digest: Uint8Array): AnswerChanges => ({
    signed: (elements) => mode(value)(withValue(TAG.TRANSACTION_CONTENT_HASH, digest)(elements)),
  })
  const none = new Uint8Array()

  test.each([
    { title: 'mode 2 with the hash of the content', asked: true, change: {}, code: 1200 },
    {
      title: 'mode 2 with the hash of another alternative',
      asked: true,
      change: confirming(contents[1] ?? ''),
      code: 1200,
    },
    { title: 'mode 2 with the hash of another text', asked: true, change: confirming('Pay 900 to Anna?'), code: 1498 },
    {
      title: 'mode 2 with the hash of the encoded content',
      asked: true,
      change: confirming(transaction[0]?.content ?? ''),
      code: 1498,
    },
    { title: 'mode 2 without a hash', asked: true, change: both(2, none), code: 1498 },
    { title: 'mode 1 without a hash', asked: true, change: both(1, none), code: 1498 },
    { title: 'mode 1 with the hash of the content', asked: true, change: { signed: mode(1) }, code: 1498 },
    { title: 'mode 3', asked: true, change: { signed: mode(3) }, code: 1498 },
    {
      title: 'the element missing',
      asked: true,
      change: { signed: without(TAG.TRANSACTION_CONTENT_HASH) },
      code: 1498,
    },
    { title: 'mode 1 without a hash', asked: false, change: {}, code: 1200 },
    { title: 'mode 1 with a hash', asked: false, change: both(1, hashOf('Pay')), code: 1498 },
    { title: 'mode 2 with a hash', asked: false, change: both(2, hashOf('Pay')), code: 1498 },
    { title: 'mode 2 without a hash', asked: false, change: both(2, none), code: 1498 },
    { title: 'mode 0', asked: false, change: { signed: mode(0) }, code: 1498 },
  ] satisfies { title: string; asked: boolean; change: AnswerChanges; code: number }[])(
    'U32: returns $code for $title, transaction asked for: $asked',
    async ({ asked, change, code }) => {
      expect((await authenticate(change, asked ? { transaction } : {})).code).toBe(code)
    },
  )

  test('U32: returns 1498 for an altered transaction', async () => {
    const context = { username, transaction }
    expect((await attempt(service, phone, 'authentication', { misbehave: 'alteredTransaction' }, context)).code).toBe(
      1498,
    )
  })

  test('U32: confirms an image by the hash of its bytes', async () => {
    const header = '89504e470d0a1a0a0000000d494844520000000200000002080200000001234567'
    const image = [{ contentType: 'image/png', content: Buffer.from(header, 'hex').toString('base64') }]
    expect((await authenticate({}, { transaction: image })).code).toBe(1200)
  })
})

describe('the user', () => {
  test('U33: tells the owner of the key as userId where no user was named', async () => {
    const { uafRequest, sessionId } = await startSession(service, 'authentication', {})
    const { body } = await phone.answer(uafRequest)
    expect(await statusOf(service, sessionId)).not.toHaveProperty('userId')
    expect(codeOf(await respond(service, 'authentication', body))).toBe(1200)
    expect(await statusOf(service, sessionId)).toMatchObject({ status: 'succeeded', userId: username })
  })

  /** Answers one request with two phones. */
  async function answerTogether(context: object, phones: readonly Authenticator[]) {
    const { uafRequest, sessionId } = await startSession(service, 'authentication', { policy: 'two', ...context })
    const responses: UafResponse[] = []
    for (const one of phones) {
      const { body } = await withAnyPolicy(one).answer(uafRequest)
      responses.push(JSON.parse((body as { uafResponse: string }).uafResponse)[0])
    }
    const assertions = responses.flatMap((response) => response.assertions)
    const body = { uafResponse: JSON.stringify([{ ...responses[0], assertions }]) }
    return { code: codeOf(await respond(service, 'authentication', body)), status: await statusOf(service, sessionId) }
  }

  test('U33: accepts two keys of one user, and returns 1498 for keys of two', async () => {
    const second = await createRegisteredPhone(service, { aaid: OTHER_AAID }, username)
    const { code, status } = await answerTogether({}, [phone, second])
    expect(code).toBe(1200)
    expect(status).toMatchObject({ userId: username })
    expect(status.authenticators?.map(({ aaid }) => aaid).toSorted()).toEqual([AAID, OTHER_AAID])
    const foreign = await createRegisteredPhone(service, {}, `another-${username}`)
    expect((await answerTogether({}, [phone, foreign])).code).toBe(1498)
  })

  test('U33: stores the counter of neither key where the answer fails', async () => {
    const foreign = await createRegisteredPhone(service, {}, `another-${username}`)
    await answerTogether({}, [phone, foreign])
    const first: AnswerChanges = { signed: withBytes(TAG.COUNTERS, (bytes) => void bytes.writeUInt32LE(2)) }
    expect((await authenticate(first)).code).toBe(1200)
    expect(
      (await attempt(service, foreign, 'authentication', { change: first }, { username: `another-${username}` })).code,
    ).toBe(1200)
  })
})
