import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readAuthenticationAssertion } from '../../../../src/core/uaf/assertion/authentication-assertion.ts'
import { readRegistrationAssertion } from '../../../../src/core/uaf/assertion/registration-assertion.ts'
import { TAG } from '../../../../src/core/uaf/assertion/tags.ts'
import { type Element, parseTlv } from '../../../../src/core/uaf/assertion/tlv.ts'
import { UafError } from '../../../../src/core/uaf/failure.ts'
import {
  buildAuthentication,
  buildRegistration,
  createAuthenticatorKey,
  tlv,
  u16,
} from '../../../support/uaf/assertions.ts'
import { LEAF } from '../../../support/uaf/certificates.ts'

const key = createAuthenticatorKey()
const registration = buildRegistration({ key })
const full = buildRegistration({ key, certificates: [LEAF] })
const authentication = buildAuthentication({ key })

function failureOf(step: () => unknown): { failure: string; isFatal: boolean } | undefined {
  try {
    step()
    return undefined
  } catch (error) {
    if (!(error instanceof UafError)) throw error
    const { failure, isFatal } = error
    return { failure, isFatal }
  }
}

const BAD = { failure: 'bad_assertion', isFatal: false }
const FATAL = { failure: 'bad_assertion', isFatal: true }

describe('parseTlv', () => {
  test('U18: returns tag, value and whole element', () => {
    const element = parseTlv(tlv(TAG.AAID, Buffer.from('x')))
    expect(element).toMatchObject({ tag: TAG.AAID, children: [] })
    expect(element.value.toString()).toBe('x')
    expect(element.bytes.toString('hex')).toBe('0b2e010078')
  })

  test.each<[string, Buffer]>([
    ['no bytes', Buffer.alloc(0)],
    ['half a header', Buffer.from([0x0b, 0x2e, 0])],
    ['a value that is too short', Buffer.from([0x0b, 0x2e, 2, 0, 1])],
    ['bytes after the element', Buffer.concat([registration, Buffer.from([0])])],
    ['an element after the first', Buffer.concat([registration, registration])],
    ['a child that is longer than its parent', tlv(TAG.REG_ASSERTION, Buffer.from([0x03, 0x3e, 9, 0]))],
    ['bytes after the last child', tlv(TAG.REG_ASSERTION, tlv(TAG.KRD), Buffer.from([1]))],
  ])('U18: rejects %s', (_, bytes) => {
    expect(failureOf(() => parseTlv(bytes))).toEqual(BAD)
  })

  test.each([0x2e99, 0x3e99, 0x3e11])('U18: rejects the whole message for the critical tag %i, at any depth', (tag) => {
    expect(failureOf(() => parseTlv(tlv(tag)))).toEqual(FATAL)
    expect(failureOf(() => parseTlv(tlv(TAG.REG_ASSERTION, tlv(TAG.KRD, tlv(tag)))))).toEqual(FATAL)
  })

  test.each([0x0e99, 0x1e99, TAG.EXTENSION, TAG.SIGNATURE])(
    'U18: ignores tag %i, known ones out of place too',
    (tag) => {
      const read = (assertion: Buffer) => readRegistrationAssertion(parseTlv(assertion))
      expect(read(buildRegistration({ key, more: tlv(tag) })).aaid).toBe('F1D0#0001')
    },
  )

  test('U18: parses any bytes, or fails with a UafError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        failureOf(() => readRegistrationAssertion(parseTlv(Buffer.from(bytes))))
        failureOf(() => readAuthenticationAssertion(parseTlv(Buffer.from(bytes))))
      }),
    )
  })

  test('U18: finds again what an encoder wrote', () => {
    const leaf = fc.tuple(fc.constantFrom(0x0e01, 0x2e0b, 0x2e06), fc.uint8Array({ maxLength: 20 }))
    const { tree } = fc.letrec<{ tree: Buffer }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf.map(([tag, value]) => tlv(tag, value)),
        fc.array(tie('tree'), { maxLength: 3 }).map((children) => tlv(0x1e01, ...children)),
      ),
    }))
    const encode = ({ tag, value, children }: Element): Buffer =>
      children.length > 0 ? tlv(tag, ...children.map(encode)) : tlv(tag, value)
    fc.assert(fc.property(tree, (bytes) => encode(parseTlv(bytes)).equals(bytes)))
  })

  test('U18: fails for deep nesting as for anything else', () => {
    let bytes: Buffer = Buffer.alloc(0)
    for (let depth = 0; depth < 1000; depth++) bytes = tlv(0x1e01, bytes)
    expect(parseTlv(bytes).tag).toBe(0x1e01)
  })
})

/** Returns the elements of an assertion as a list that a test can change. */
function takeApart(bytes: Buffer): Element[] {
  return [...parseTlv(bytes).children]
}

const join = (tag: number, elements: readonly Element[]) => tlv(tag, ...elements.map(({ bytes }) => bytes))

describe('U19', () => {
  const cases = [
    ['registration', registration, TAG.REG_ASSERTION, readRegistrationAssertion],
    ['registration with certificates', full, TAG.REG_ASSERTION, readRegistrationAssertion],
    ['authentication', authentication, TAG.AUTH_ASSERTION, readAuthenticationAssertion],
  ] as const

  test.each(cases)('U19: rejects a %s without or with a second one of any element', (_, assertion, tag, read) => {
    const [data, proof] = takeApart(assertion)
    if (!data || !proof) throw new Error('expected two elements')
    expect(read(parseTlv(assertion))).toMatchObject({ aaid: 'F1D0#0001', mode: 1 })
    expect(failureOf(() => read(parseTlv(join(tag, [data]))))).toEqual(BAD)
    expect(failureOf(() => read(parseTlv(join(tag, [proof]))))).toEqual(BAD)
    expect(failureOf(() => read(parseTlv(join(tag, [data, proof, proof]))))).toEqual(BAD)
    expect(failureOf(() => read(parseTlv(join(tag, [data, data, proof]))))).toEqual(BAD)
    for (const [at, child] of data.children.entries()) {
      const without = join(data.tag, data.children.toSpliced(at, 1))
      const twice = join(data.tag, [...data.children, child])
      for (const changed of [without, twice]) {
        expect(failureOf(() => read(parseTlv(tlv(tag, changed, proof.bytes))))).toEqual(BAD)
      }
    }
    const reversed = join(data.tag, data.children.toReversed())
    expect(read(parseTlv(tlv(tag, proof.bytes, reversed)))).toMatchObject({ aaid: 'F1D0#0001' })
    expect(failureOf(() => read(parseTlv(tlv(TAG.KRD, data.bytes, proof.bytes))))).toEqual(BAD)
  })

  test.each<[string, Parameters<typeof buildRegistration>[0]]>([
    ['an AAID of other characters', { key, aaid: 'F1D0-0001' }],
    ['a longer AAID', { key, aaid: 'F1D0#00011' }],
    ['a key id of 31 bytes', { key, keyId: Buffer.alloc(31) }],
    ['a key id of 2049 bytes', { key, keyId: Buffer.alloc(2049) }],
    ['mode 2', { key, mode: 2 }],
  ])('U19: rejects a registration with %s', (_, parts) => {
    expect(failureOf(() => readRegistrationAssertion(parseTlv(buildRegistration(parts))))).toEqual(BAD)
  })

  test('U19: accepts an AAID in lower case, and key ids of 32 to 2048 bytes', () => {
    const read = (parts: object) => readRegistrationAssertion(parseTlv(buildRegistration({ key, ...parts })))
    expect(read({ aaid: 'f1d0#abcd' }).aaid).toBe('f1d0#abcd')
    expect(read({ keyId: Buffer.alloc(2048) }).keyId).toHaveLength(2731)
  })

  test('U19: rejects a nonce of 7 bytes', () => {
    const bytes = buildAuthentication({ key, nonce: Buffer.alloc(7) })
    expect(failureOf(() => readAuthenticationAssertion(parseTlv(bytes)))).toEqual(BAD)
  })

  test('U19: rejects values of another length', () => {
    const swap = (tag: number, value: Buffer): Buffer => {
      const [data, proof] = takeApart(authentication)
      if (!data || !proof) throw new Error('expected two elements')
      const children = data.children.map((child) => (child.tag === tag ? tlv(tag, value) : child.bytes))
      return tlv(TAG.AUTH_ASSERTION, tlv(data.tag, ...children), proof.bytes)
    }
    const read = (bytes: Buffer) => failureOf(() => readAuthenticationAssertion(parseTlv(bytes)))
    expect(read(swap(TAG.COUNTERS, Buffer.alloc(8)))).toEqual(BAD)
    expect(read(swap(TAG.ASSERTION_INFO, Buffer.alloc(7)))).toEqual(BAD)
    expect(read(swap(TAG.ASSERTION_INFO, Buffer.concat([u16(1), Buffer.from([1]), u16(1)])))).toBeUndefined()
  })

  test('U19, U24: reads the three kinds of attestation, and rejects two of them and a chain without certificates', () => {
    const [data] = takeApart(registration)
    if (!data) throw new Error('expected an element')
    const read = (...attestations: Buffer[]) =>
      readRegistrationAssertion(parseTlv(tlv(TAG.REG_ASSERTION, data.bytes, ...attestations))).attestation
    const signature = tlv(TAG.SIGNATURE, Buffer.from('s'))
    const certificate = tlv(TAG.ATTESTATION_CERT, Buffer.from('c'))
    expect(read(tlv(TAG.ECDAA, Buffer.alloc(0)))).toEqual({ type: TAG.ECDAA })
    expect(read(tlv(TAG.BASIC_SURROGATE, signature)).type).toBe(TAG.BASIC_SURROGATE)
    expect(read(tlv(TAG.BASIC_FULL, signature, certificate, certificate))).toMatchObject({
      certificates: [Buffer.from('c'), Buffer.from('c')],
    })
    const surrogate = tlv(TAG.BASIC_SURROGATE, signature)
    expect(failureOf(() => read(tlv(TAG.BASIC_FULL, signature)))).toEqual(BAD)
    expect(failureOf(() => read(surrogate, tlv(TAG.ECDAA)))).toEqual(BAD)
    expect(failureOf(() => read())).toEqual(BAD)
  })
})
