import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Authenticator } from '../../../../src/development/authenticator/authenticator.ts'
import type { AnswerChanges } from '../../../../src/development/authenticator/misbehaviour.ts'
import { encodeTlv, TAG, type Tlv } from '../../../../src/development/authenticator/tlv.ts'
import type { UafResponse } from '../../../../src/development/authenticator/uaf-message.ts'
import { OPEN } from '../../../support/nevisfido.ts'
import { type Service, startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import {
  type Answered,
  attempt,
  createPhone,
  createRegisteredPhone,
  INFO,
  withBytes,
  withMore,
  without,
  withValue,
} from '../../../support/uaf.ts'

let service: Service
let registered: Authenticator
beforeAll(async () => {
  service = await startService({ clock: createFrozenClock(), configuration: { nevisfido: OPEN } })
  registered = await createRegisteredPhone(service)
})
afterAll(() => service?.close())

const phoneFor = (operation: Answered) => (operation === 'registration' ? createPhone(service) : registered)
const OPERATIONS = ['registration', 'authentication'] as const

/** Changes the bytes of a finished assertion. */
const bytesChanged = (change: (bytes: Buffer) => Uint8Array): AnswerChanges => ({
  response: (response: UafResponse) => ({
    ...response,
    assertions: response.assertions.map(({ assertionScheme, assertion }) => ({
      assertionScheme,
      assertion: Buffer.from(change(Buffer.from(assertion, 'base64url'))).toString('base64url'),
    })),
  }),
})

const reversed = (elements: Tlv[]) => elements.toReversed()
const twice = (tag: number) => (elements: Tlv[]) => [...elements, ...elements.filter((element) => element.tag === tag)]
const bytes = (length: number) => Buffer.alloc(length, 1)

interface Case {
  readonly title: string
  readonly change: AnswerChanges
  readonly code: number
}

const EXTENSION: Tlv[] = [
  { tag: 0x2e13, value: Buffer.from('trimint.test') },
  { tag: 0x2e14, value: bytes(3) },
]

const ENCODING: readonly Case[] = [
  { title: 'a byte after the assertion', change: bytesChanged((all) => Buffer.concat([all, bytes(1)])), code: 1498 },
  { title: 'a byte missing at the end', change: bytesChanged((all) => all.subarray(0, -1)), code: 1498 },
  { title: 'three bytes alone', change: bytesChanged((all) => all.subarray(0, 3)), code: 1498 },
  {
    title: 'an outer length that is one too small',
    change: bytesChanged((all) => addToLength(all, 2, -1)),
    code: 1498,
  },
  { title: 'an outer length that is one too large', change: bytesChanged((all) => addToLength(all, 2, 1)), code: 1498 },
  { title: 'an inner length that is one too large', change: bytesChanged((all) => addToLength(all, 6, 1)), code: 1498 },
  {
    title: 'an inner length that is one too small',
    change: bytesChanged((all) => addToLength(all, 6, -1)),
    code: 1498,
  },
  {
    title: 'big-endian lengths',
    change: bytesChanged((all) => Buffer.from(all).fill(all.subarray(2, 4).toReversed(), 2, 4)),
    code: 1498,
  },
  { title: 'elements in reverse order', change: { signed: reversed, assertion: reversed }, code: 1200 },
  { title: 'an unknown element', change: { signed: withMore({ tag: 0x0e99, value: bytes(5) }) }, code: 1200 },
  {
    title: 'an unknown composite element',
    change: { signed: withMore({ tag: 0x1e99, value: [{ tag: 0x0e98, value: bytes(2) }] }) },
    code: 1200,
  },
  {
    title: 'an unknown element outside what is signed',
    change: { assertion: withMore({ tag: 0x0e99, value: bytes(5) }) },
    code: 1200,
  },
  { title: 'an unknown critical element', change: { signed: withMore({ tag: 0x2e99, value: bytes(5) }) }, code: 1498 },
  {
    title: 'an unknown critical composite element',
    change: { signed: withMore({ tag: 0x3e99, value: [] }) },
    code: 1498,
  },
  {
    title: 'an unknown critical element outside what is signed',
    change: { assertion: withMore({ tag: 0x2e99, value: bytes(5) }) },
    code: 1498,
  },
  { title: 'a critical extension', change: { signed: withMore({ tag: 0x3e11, value: EXTENSION }) }, code: 1498 },
  {
    title: 'a critical extension outside what is signed',
    change: { assertion: withMore({ tag: 0x3e11, value: EXTENSION }) },
    code: 1498,
  },
  { title: 'an extension', change: { signed: withMore({ tag: 0x3e12, value: EXTENSION }) }, code: 1200 },
  {
    title: 'two extensions',
    change: { signed: withMore({ tag: 0x3e12, value: EXTENSION }, { tag: 0x3e12, value: EXTENSION }) },
    code: 1200,
  },
  {
    title: 'an extension outside what is signed',
    change: { assertion: withMore({ tag: 0x3e12, value: EXTENSION }) },
    code: 1200,
  },
  {
    title: 'a known element out of place',
    change: { signed: withMore({ tag: TAG.ATTESTATION_CERT, value: bytes(5) }) },
    code: 1200,
  },
  ...[TAG.AAID, TAG.KEYID, TAG.COUNTERS].map((tag) => ({
    title: `element ${tag.toString(16)} twice`,
    change: { signed: twice(tag) },
    code: 1498,
  })),
]

function addToLength(all: Buffer, at: number, difference: number): Buffer {
  const changed = Buffer.from(all)
  changed.writeUInt16LE(changed.readUInt16LE(at) + difference, at)
  return changed
}

describe.each(OPERATIONS)('%s', (operation) => {
  test.each(ENCODING)('U18: returns $code for $title', async ({ change, code }) => {
    expect((await attempt(service, phoneFor(operation), operation, { change })).code).toBe(code)
  })

  test('U18: refuses an assertion in which any tag or length byte of the first elements is changed', async () => {
    for (const at of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
      const change = bytesChanged((all) => {
        const changed = Buffer.from(all)
        changed.writeUInt8(changed.readUInt8(at) ^ 0x40, at)
        return changed
      })
      expect((await attempt(service, phoneFor(operation), operation, { change })).code, `byte ${at}`).not.toBe(1200)
    }
  })

  test.each(['HHHH#0001', 'FFFF-0001', 'FFFF#001', 'FFFFF#0001', 'FFFF#0001\n', ''])(
    'U19: returns 1498 for the AAID %j',
    async (aaid) => {
      const change = { signed: withValue(TAG.AAID, Buffer.from(aaid)) }
      expect((await attempt(service, phoneFor(operation), operation, { change })).code).toBe(1498)
    },
  )

  test('U19: accepts an AAID in small letters', async () => {
    const change = { signed: withValue(TAG.AAID, Buffer.from('ffff#0001')) }
    expect((await attempt(service, phoneFor(operation), operation, { change })).code).toBe(1200)
  })
})

const infoOf = (...values: number[]) => Buffer.from(values)

const LENGTHS: readonly (Case & { operation: Answered })[] = [
  {
    operation: 'registration',
    title: 'an ASSERTION_INFO of 5 bytes',
    change: { signed: withValue(TAG.ASSERTION_INFO, infoOf(1, 0, 1, 1, 0)) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'an ASSERTION_INFO of 8 bytes',
    change: { signed: withValue(TAG.ASSERTION_INFO, infoOf(1, 0, 1, 1, 0, 0, 1, 0)) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'COUNTERS of 4 bytes',
    change: { signed: withValue(TAG.COUNTERS, bytes(4)) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'a KEYID of 31 bytes',
    change: { signed: withValue(TAG.KEYID, bytes(31)) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'a KEYID of 2049 bytes',
    change: { signed: withValue(TAG.KEYID, bytes(2049)) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'a KEYID of 2048 bytes',
    change: { signed: withValue(TAG.KEYID, Buffer.alloc(2048, 7)) },
    code: 1200,
  },
  {
    operation: 'registration',
    title: 'mode 2',
    change: { signed: withBytes(TAG.ASSERTION_INFO, (info) => void info.writeUInt8(2, INFO.MODE)) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'mode 0',
    change: { signed: withBytes(TAG.ASSERTION_INFO, (info) => void info.writeUInt8(0, INFO.MODE)) },
    code: 1498,
  },
  {
    operation: 'authentication',
    title: 'an ASSERTION_INFO of 7 bytes',
    change: { signed: withValue(TAG.ASSERTION_INFO, infoOf(1, 0, 1, 1, 0, 0, 1)) },
    code: 1498,
  },
  {
    operation: 'authentication',
    title: 'COUNTERS of 8 bytes',
    change: { signed: withValue(TAG.COUNTERS, bytes(8)) },
    code: 1498,
  },
  {
    operation: 'authentication',
    title: 'a KEYID of 31 bytes',
    change: { signed: withValue(TAG.KEYID, bytes(31)) },
    code: 1498,
  },
  {
    operation: 'authentication',
    title: 'a nonce of 7 bytes',
    change: { signed: withValue(TAG.AUTHENTICATOR_NONCE, bytes(7)) },
    code: 1498,
  },
  {
    operation: 'authentication',
    title: 'a nonce of 8 bytes',
    change: { signed: withValue(TAG.AUTHENTICATOR_NONCE, bytes(8)) },
    code: 1200,
  },
]

const IN_KRD = ['AAID', 'ASSERTION_INFO', 'FINAL_CHALLENGE_HASH', 'KEYID', 'COUNTERS', 'PUB_KEY'] as const
const IN_SIGNED_DATA = [
  'AAID',
  'ASSERTION_INFO',
  'AUTHENTICATOR_NONCE',
  'FINAL_CHALLENGE_HASH',
  'TRANSACTION_CONTENT_HASH',
  'KEYID',
  'COUNTERS',
] as const

const MISSING: readonly (Case & { operation: Answered })[] = [
  ...IN_KRD.map((name) => ({
    operation: 'registration' as const,
    title: `a KRD without ${name}`,
    change: { signed: without(TAG[name]) },
    code: 1498,
  })),
  ...IN_SIGNED_DATA.map((name) => ({
    operation: 'authentication' as const,
    title: `SIGNED_DATA without ${name}`,
    change: { signed: without(TAG[name]) },
    code: 1498,
  })),
  { operation: 'registration', title: 'no KRD', change: { assertion: without(TAG.KRD) }, code: 1498 },
  {
    operation: 'registration',
    title: 'no attestation',
    change: { assertion: without(TAG.BASIC_SURROGATE) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'two attestations',
    change: {
      assertion: withMore({
        tag: TAG.BASIC_FULL,
        value: [
          { tag: TAG.SIGNATURE, value: bytes(64) },
          { tag: TAG.ATTESTATION_CERT, value: bytes(64) },
        ],
      }),
    },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'a surrogate attestation without signature',
    change: { assertion: withValue(TAG.BASIC_SURROGATE, []) },
    code: 1498,
  },
  {
    operation: 'registration',
    title: 'a full attestation without certificate',
    change: {
      assertion: ([krd]) =>
        krd ? [krd, { tag: TAG.BASIC_FULL, value: [{ tag: TAG.SIGNATURE, value: bytes(64) }] }] : [],
    },
    code: 1498,
  },
  { operation: 'authentication', title: 'no SIGNED_DATA', change: { assertion: without(TAG.SIGNED_DATA) }, code: 1498 },
  { operation: 'authentication', title: 'no SIGNATURE', change: { assertion: without(TAG.SIGNATURE) }, code: 1498 },
]

describe('structure', () => {
  test.each([...MISSING, ...LENGTHS])(
    'U19: $operation returns $code for $title',
    async ({ operation, change, code }) => {
      expect((await attempt(service, phoneFor(operation), operation, { change })).code).toBe(code)
    },
  )

  test.each([
    { operation: 'registration', sent: TAG.AUTH_ASSERTION },
    { operation: 'authentication', sent: TAG.REG_ASSERTION },
  ] as const)("U19: $operation returns 1498 for the other operation's assertion", async ({ operation, sent }) => {
    const change = bytesChanged((all) => encodeTlv({ tag: sent, value: all.subarray(4) }))
    expect((await attempt(service, phoneFor(operation), operation, { change })).code).toBe(1498)
  })
})
