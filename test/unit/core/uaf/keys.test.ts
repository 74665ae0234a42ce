import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import {
  fitsKey,
  kindNeededBy,
  kindOf,
  SIGNATURE_ALGORITHMS,
  verifySignature,
} from '../../../../src/core/uaf/keys/algorithms.ts'
import { allowsAaid, isValidChain, parseCertificate } from '../../../../src/core/uaf/keys/certificates.ts'
import { readDer, readMembers, readWhole } from '../../../../src/core/uaf/keys/der.ts'
import {
  exportPublicKey,
  importPublicKey,
  kindsOfFormat,
  restorePublicKey,
  verifiesQuickly,
} from '../../../../src/core/uaf/keys/public-key.ts'
import { createAuthenticatorKey, rawPoint, signAs } from '../../../support/uaf/assertions.ts'
import {
  ED25519_LEAF,
  EXPIRED_LEAF,
  INTERMEDIATE,
  LEAF,
  LEAF_OF_NO_CA,
  NO_CA,
  OTHER_ROOT,
  PLAIN_LEAF,
  RAW_AAID_LEAF,
  ROOT,
  VERSION_1,
} from '../../../support/uaf/certificates.ts'

const keys = new Map(SIGNATURE_ALGORITHMS.map((algorithm) => [algorithm, createAuthenticatorKey(algorithm)]))
const p256 = createAuthenticatorKey(1).publicKey
const k1 = createAuthenticatorKey(5).publicKey
const rsa = createAuthenticatorKey(3).publicKey
const data = Buffer.from('signed')

describe('U20', () => {
  test.each([...keys.values()])(
    'U20: verifies algorithm $algorithm, and no signature that differs in a byte',
    (key) => {
      const signature = signAs(key.algorithm, key.privateKey, data)
      expect(verifySignature(key.algorithm, key.publicKey, data, signature)).toBe(true)
      for (const at of signature.keys()) {
        const changed = Buffer.from(signature)
        changed[at] = (changed[at] ?? 0) ^ 1
        expect(verifySignature(key.algorithm, key.publicKey, data, changed)).toBe(false)
      }
      for (const changed of [signature.subarray(1), Buffer.concat([signature, Buffer.from([0])]), Buffer.alloc(0)]) {
        expect(verifySignature(key.algorithm, key.publicKey, data, changed)).toBe(false)
      }
      expect(verifySignature(key.algorithm, key.publicKey, Buffer.from('other'), signature)).toBe(false)
    },
  )

  test('U20: verifies nothing with an unknown algorithm, or a key that does not fit', () => {
    for (const [algorithm, { privateKey }] of keys) {
      const signature = signAs(algorithm, privateKey, data)
      for (const key of [p256, k1, rsa]) {
        expect(verifySignature(algorithm, key, data, signature)).toBe(false)
        expect(fitsKey(algorithm, key)).toBe(kindOf(key) === kindNeededBy(algorithm))
      }
    }
    for (const algorithm of [0, 7, 10, 0xffff]) expect(verifySignature(algorithm, p256, data, data)).toBe(false)
    expect(kindOf(generateKeyPairSync('ed25519').publicKey)).toBeUndefined()
    expect(kindOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)).toBeUndefined()
  })

  test('U20: takes any bytes for a signature', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...keys.values()),
        fc.uint8Array({ maxLength: 300 }),
        ({ algorithm, publicKey }, bytes) => !verifySignature(algorithm, publicKey, data, Buffer.from(bytes)),
      ),
    )
  })
})

describe('U21', () => {
  const spki = (key: typeof p256) => key.export({ type: 'spki', format: 'der' })
  const pkcs1 = rsa.export({ type: 'pkcs1', format: 'der' })
  const { n = '', e = '' } = rsa.export({ format: 'jwk' })
  const modulus = Buffer.from(n, 'base64url')
  const compressed = Buffer.concat([Buffer.from([2]), rawPoint(p256).subarray(1, 33)])

  test.each([
    ['0x100 on P-256', 0x100, rawPoint(p256), 1, p256],
    ['0x100 on secp256k1', 0x100, rawPoint(k1), 5, k1],
    ['0x100 on P-256 without an algorithm', 0x100, rawPoint(p256), undefined, p256],
    ['0x100 on secp256k1 without an algorithm', 0x100, rawPoint(k1), undefined, k1],
    ['0x101 on P-256', 0x101, spki(p256), 1, p256],
    ['0x101 on secp256k1', 0x101, spki(k1), undefined, k1],
    ['0x102', 0x102, Buffer.concat([modulus, Buffer.from(e, 'base64url')]), 3, rsa],
    ['0x103 in PKCS #1', 0x103, pkcs1, 3, rsa],
    ['0x103 in SPKI', 0x103, spki(rsa), 3, rsa],
  ] as const)('U21: imports %s', (_, format, bytes, algorithm, expected) => {
    const key = importPublicKey(format, Buffer.from(bytes), algorithm)
    expect(key.equals(expected)).toBe(true)
    expect(restorePublicKey(exportPublicKey(key)).equals(expected)).toBe(true)
  })

  test('restores a key once, and remembers a limited number of them', async () => {
    vi.resetModules()
    const { restorePublicKey: restore } = await import('../../../../src/core/uaf/keys/public-key.ts')
    const texts = Array.from({ length: 1_001 }, () => exportPublicKey(createAuthenticatorKey(1).publicKey))
    const [first = '', last = ''] = [texts[0], texts.at(-1)]
    const remembered = texts.slice(0, -1).map(restore)
    expect(restore(first)).toBe(remembered[0])
    expect(restore(last)).toBe(restore(last))
    const again = restore(first)
    expect(again).not.toBe(remembered[0])
    expect(again.equals(remembered[0] ?? p256)).toBe(true)
  })

  const long4096 = Buffer.alloc(512, 0xff)
  test.each([
    ['4096 bits', long4096, '010001', true],
    ['4097 bits', Buffer.concat([Buffer.from([1]), long4096]), '010001', false],
    ['an exponent of 64 bits', long4096, 'ffffffffffffffff', true],
    ['an exponent of 2^64', long4096, '010000000000000000', false],
  ])('U25: of a certificate, RSA with %s verifies quickly or not', (_, n, e, quickly) => {
    const jwk = { kty: 'RSA', n: n.toString('base64url'), e: Buffer.from(e, 'hex').toString('base64url') }
    expect(verifiesQuickly(createPublicKey({ key: jwk, format: 'jwk' }))).toBe(quickly)
  })

  const explicit = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    paramEncoding: 'explicit',
  }).publicKey.export({ type: 'spki', format: 'der' })
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  const long = generateKeyPairSync('rsa', { modulusLength: 3072 }).publicKey
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey
  test.each<[string, number, Buffer, number | undefined]>([
    ['an unknown format', 0x104, spki(p256), 1],
    ['a point of another curve than the algorithm', 0x100, rawPoint(k1), 1],
    ['a point on no curve', 0x100, Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]), undefined],
    ['a compressed point', 0x100, compressed, 1],
    ['a point of another form', 0x100, Buffer.concat([Buffer.from([6]), rawPoint(p256).subarray(1)]), 1],
    [
      'a zero before Y',
      0x100,
      Buffer.concat([rawPoint(p256).subarray(0, 33), Buffer.alloc(1), rawPoint(p256).subarray(33)]),
      1,
    ],
    ['bytes after PKCS #1', 0x103, Buffer.concat([pkcs1, Buffer.from([0])]), 3],
    ['bytes after SPKI', 0x101, Buffer.concat([spki(p256), Buffer.from([0])]), 1],
    ['explicit parameters of P-256', 0x101, explicit, 1],
    ['RSA as an EC key', 0x101, spki(rsa), undefined],
    ['another curve', 0x101, spki(p384), undefined],
    ['a modulus without an exponent', 0x102, modulus, 3],
    ['a short modulus', 0x102, Buffer.concat([modulus.subarray(1), Buffer.from([1, 0, 1])]), 3],
    ['exponent 1', 0x102, Buffer.concat([modulus, Buffer.from([1])]), 3],
    ['an exponent of 72 bits', 0x102, Buffer.concat([modulus, Buffer.alloc(9, 0xff)]), 3],
    ['RSA of 1024 bits', 0x103, spki(short), 3],
    ['RSA of 3072 bits', 0x103, long.export({ type: 'pkcs1', format: 'der' }), 3],
    ['RSA-PSS alone', 0x103, spki(pss), 3],
    ['EC as an RSA key', 0x103, spki(p256), 3],
    ['no bytes', 0x103, Buffer.alloc(0), 3],
    ['no DER', 0x101, Buffer.from([0x30, 1, 5]), 1],
  ])('U21: rejects %s', (_, format, bytes, algorithm) => {
    expect(() => importPublicKey(format, bytes, algorithm)).toThrow('key_rejected')
  })

  test('U21: imports any bytes in any format, or rejects them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0xff, max: 0x105 }), fc.uint8Array({ maxLength: 300 }), (format, bytes) => {
        expect(() => importPublicKey(format, Buffer.from(bytes), undefined)).toThrow('key_rejected')
      }),
    )
    expect(kindsOfFormat(0x104)).toEqual([])
  })
})

describe('DER', () => {
  test.each([
    ['no bytes', ''],
    ['no length', '04'],
    ['a length beyond the end', '0402ff'],
    ['an indefinite length', '0480'],
    ['a missing octet of the length', '0482'],
    ['a length of three octets', '0483000001ff'],
    ['a longer form than necessary', '048101ff'],
    ['two octets where one is enough', '048200ff'],
  ])('rejects %s', (_, hex) => {
    expect(readDer(Buffer.from(hex, 'hex'))).toBeUndefined()
  })

  test.each([
    ['an indefinite length', '0480', 0x80],
    ['a length of three octets', '0483010000', 0x10000],
    ['one octet where none is needed', '04817f', 0x7f],
    ['two octets where one is enough', '048200ff', 0xff],
  ])('rejects %s although as many bytes follow', (_, head, length) => {
    const bytes = Buffer.concat([Buffer.from(head, 'hex'), Buffer.alloc(length, 1)])
    expect(readDer(bytes)).toBeUndefined()
  })

  test('reads a value without content at the end', () => {
    expect(readDer(Buffer.from('0400', 'hex'))).toEqual({ tag: 4, content: Buffer.alloc(0), rest: Buffer.alloc(0) })
  })

  test('reads values of each form of length, and what follows them', () => {
    for (const [length, head] of [
      [5, '0405'],
      [200, '0481c8'],
      [300, '0482012c'],
    ] as const) {
      const bytes = Buffer.concat([Buffer.from(head, 'hex'), Buffer.alloc(length, 1)])
      expect(readWhole(bytes, 4)).toHaveLength(length)
      expect(readWhole(bytes, 5)).toBeUndefined()
      expect(readWhole(Buffer.concat([bytes, Buffer.alloc(1)]), 4)).toBeUndefined()
      expect(readMembers(Buffer.concat([bytes, bytes]))).toHaveLength(2)
    }
    expect(readMembers(undefined)).toEqual([])
  })
})

describe('U25', () => {
  const NOW = Date.UTC(2030, 0, 1)
  const parse = (base64: string): X509Certificate => new X509Certificate(Buffer.from(base64, 'base64'))
  const isValid = (chain: string[], roots: string[] | undefined, now = NOW) =>
    isValidChain(chain.map(parse), roots?.map(parse), now)

  test.each<[string, string[], string[] | undefined]>([
    ['a leaf and its CA under a root', [LEAF, INTERMEDIATE], [OTHER_ROOT, ROOT]],
    ['a chain with its root', [LEAF, INTERMEDIATE, ROOT], [ROOT]],
    ['a leaf that is one of the roots', [PLAIN_LEAF], [PLAIN_LEAF]],
    ['a leaf under its CA as the root', [LEAF], [INTERMEDIATE]],
    ['a leaf without anchors', [LEAF], undefined],
  ])('U25: accepts %s', (_, chain, roots) => {
    expect(isValid(chain, roots)).toBe(true)
  })

  test.each<[string, string[], string[] | undefined]>([
    ['a chain under another root', [LEAF, INTERMEDIATE], [OTHER_ROOT]],
    ['a chain without roots', [LEAF], []],
    ['a chain with a gap', [LEAF, ROOT], [ROOT]],
    ['a chain whose issuer is not a CA', [LEAF_OF_NO_CA, NO_CA], [ROOT]],
    ['an expired leaf', [EXPIRED_LEAF], [ROOT]],
  ])('U25: rejects %s', (_, chain, roots) => {
    expect(isValid(chain, roots)).toBe(false)
  })

  test('U25: verifies no signature within a chain that no root has issued', () => {
    const verify = vi.spyOn(X509Certificate.prototype, 'verify')
    expect(isValid([LEAF, INTERMEDIATE], [OTHER_ROOT])).toBe(false)
    expect(verify).not.toHaveBeenCalled()
    verify.mockRestore()
  })

  test.each([
    ['P-256', true],
    ['secp256k1', true],
    ['P-384', true],
    ['P-521', true],
    ['sect571r1', false],
    ['brainpoolP512r1', false],
  ])('U25: takes keys of certificates on %s: %s', (namedCurve, isTaken) => {
    expect(verifiesQuickly(generateKeyPairSync('ec', { namedCurve }).publicKey)).toBe(isTaken)
  })

  test('U25: takes no key of a certificate on a curve with explicit parameters', () => {
    const spki = generateKeyPairSync('ec', { namedCurve: 'sect571r1', paramEncoding: 'explicit' }).publicKey
    expect(verifiesQuickly(spki)).toBe(false)
  })

  test('U25: rejects a chain before its dates', () => {
    expect(isValid([PLAIN_LEAF], [ROOT], Date.UTC(2025, 11, 31))).toBe(false)
  })

  test('U25: parses certificates in DER, and nothing else', () => {
    const der = Buffer.from(LEAF, 'base64')
    expect(parseCertificate(der)?.subject).toBe('CN=Authenticator')
    expect(parseCertificate(Buffer.from(ED25519_LEAF, 'base64'))?.publicKey.asymmetricKeyType).toBe('ed25519')
    expect(parseCertificate(Buffer.concat([der, Buffer.alloc(1)]))).toBeUndefined()
    expect(parseCertificate(Buffer.from(new X509Certificate(der).toString()))).toBeUndefined()
    expect(parseCertificate(Buffer.from('3003020101', 'hex'))).toBeUndefined()
  })

  test('U25: compares the AAID of a certificate, where it has one', () => {
    for (const certificate of [LEAF, RAW_AAID_LEAF].map(parse)) {
      expect(allowsAaid(certificate, 'F1D0#0001')).toBe(true)
      expect(allowsAaid(certificate, 'f1d0#0001')).toBe(true)
      expect(allowsAaid(certificate, 'F1D0#0002')).toBe(false)
    }
    for (const certificate of [PLAIN_LEAF, VERSION_1].map(parse)) {
      expect(allowsAaid(certificate, 'F1D0#0002')).toBe(true)
    }
  })
})
