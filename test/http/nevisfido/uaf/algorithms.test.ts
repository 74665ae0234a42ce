import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import {
  generatePrivateKey,
  KEY_FORMAT,
  type KeyFormat,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
} from '../../../../src/development/authenticator/algorithms.ts'
import type { AuthenticatorOptions } from '../../../../src/development/authenticator/authenticator.ts'
import { TAG, type Tlv } from '../../../../src/development/authenticator/tlv.ts'
import { OPEN } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import {
  AAID,
  attempt,
  createPhone,
  INFO,
  withAlgorithm,
  withBytes,
  withReplaced,
  withValue,
} from '../../../support/uaf.ts'
import { createStatement } from '../../../support/uaf-metadata.ts'

/** A model whose statement names one algorithm: 1. */
const STATED = 'FFFF#0003'
const service = await startService({
  clock: createFrozenClock(),
  configuration: { nevisfido: { ...OPEN, metadata: [createStatement({ aaid: STATED })] } },
})
afterAll(() => service.close())

const { EC_RAW, EC_SPKI, RSA_RAW, RSA_PKCS1 } = KEY_FORMAT
const RSA: readonly SignatureAlgorithm[] = [3, 4, 8, 9]
const formatsOf = (algorithm: SignatureAlgorithm): readonly KeyFormat[] =>
  RSA.includes(algorithm) ? [RSA_RAW, RSA_PKCS1] : [EC_RAW, EC_SPKI]

// RSA keys are slow to generate, so tests share one.
const rsaKey = await generatePrivateKey(3)
const keyFor = (algorithm: SignatureAlgorithm) => (RSA.includes(algorithm) ? { privateKey: rsaKey } : {})

let count = 0
const register = (options: Partial<AuthenticatorOptions>, signed?: (elements: Tlv[]) => readonly Tlv[]) => {
  const username = `user-${count++}`
  const phone = createPhone(service, { aaid: AAID, ...options })
  return attempt(service, phone, 'registration', { change: { signed } }, { username }).then(({ code }) => ({
    code,
    phone,
    username,
  }))
}

describe('algorithms and key formats', () => {
  const cases = SIGNATURE_ALGORITHMS.flatMap((algorithm) =>
    formatsOf(algorithm).map((keyFormat) => ({ algorithm, keyFormat, format: `0x${keyFormat.toString(16)}` })),
  )
  test.each(cases)(
    'U20, U21: registers and authenticates with algorithm $algorithm and key format $format',
    async ({ algorithm, keyFormat }) => {
      const { code, phone, username } = await register({ algorithm, keyFormat, ...keyFor(algorithm) })
      expect(code).toBe(1200)
      for (let times = 0; times < 2; times++)
        expect((await attempt(service, phone, 'authentication', {}, { username })).code).toBe(1200)
      const change = {
        assertion: withBytes(TAG.SIGNATURE, (bytes) => void bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40)),
      }
      expect((await attempt(service, phone, 'authentication', { change }, { username })).code).toBe(1498)
    },
  )

  test.each([0, 7, 10, 18, 0xffff])(
    'U20: returns 1495 for algorithm %i, which is unknown or not verified',
    async (algorithm) => {
      expect((await register({}, withAlgorithm(algorithm))).code).toBe(1495)
    },
  )

  test.each([
    { title: 'an RSA algorithm and a P-256 key', algorithm: 1, keyFormat: EC_SPKI, claimed: 3 },
    { title: 'a secp256k1 algorithm and a P-256 key', algorithm: 1, keyFormat: EC_SPKI, claimed: 5 },
    { title: 'a P-256 algorithm and a secp256k1 key', algorithm: 5, keyFormat: EC_SPKI, claimed: 1 },
    { title: 'a P-256 algorithm and an RSA key', algorithm: 3, keyFormat: RSA_PKCS1, claimed: 1 },
  ] as const)('U20: returns 1495 for $title', async ({ algorithm, keyFormat, claimed }) => {
    expect((await register({ algorithm, keyFormat, ...keyFor(algorithm) }, withAlgorithm(claimed))).code).toBe(1495)
  })

  test("U20: returns 1495 for an algorithm that is not the statement's", async () => {
    expect((await register({ aaid: STATED, algorithm: 2 })).code).toBe(1495)
    expect((await register({ aaid: STATED, algorithm: 1 })).code).toBe(1200)
  })
})

const withFormat = (format: number) =>
  withBytes(TAG.ASSERTION_INFO, (info) => void info.writeUInt16LE(format, INFO.KEY_FORMAT))

const withKey = (change: (key: Buffer) => Uint8Array) => withReplaced(TAG.PUB_KEY, change)

const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'der' })

describe('keys', () => {
  test('U21: accepts an RSA key in SPKI where the format is PKCS #1', async () => {
    const { code } = await register(
      { algorithm: 3, keyFormat: RSA_PKCS1, privateKey: rsaKey },
      withValue(TAG.PUB_KEY, spki(createPublicKey(rsaKey))),
    )
    expect(code).toBe(1200)
  })

  test.each([
    { title: 'an unknown format', options: {}, change: withFormat(0x104) },
    { title: 'a point that is not on the curve', options: {}, change: withKey((key) => key.fill(1, 40)) },
    { title: 'the point at infinity', options: {}, change: withKey(() => Buffer.from([0])) },
    {
      title: 'a compressed point',
      options: {},
      change: withKey((key) => Buffer.concat([Buffer.from([2]), key.subarray(1, 33)])),
    },
    {
      title: 'a point with a byte more',
      options: {},
      change: withKey((key) => Buffer.concat([key, Buffer.alloc(1)])),
    },
    { title: 'an empty key', options: {}, change: withKey(() => Buffer.alloc(0)) },
    { title: 'a raw key in the SPKI format', options: {}, change: withFormat(EC_SPKI) },
    {
      title: 'SPKI followed by a byte',
      options: { keyFormat: EC_SPKI },
      change: withKey((key) => Buffer.concat([key, Buffer.alloc(1)])),
    },
    { title: 'a secp256k1 point with a P-256 algorithm', options: { algorithm: 5 }, change: withAlgorithm(1) },
    {
      title: 'a raw RSA key without exponent',
      options: { algorithm: 3, privateKey: rsaKey },
      change: withKey((key) => key.subarray(0, 256)),
    },
  ] satisfies { title: string; options: Partial<AuthenticatorOptions>; change: (elements: Tlv[]) => Tlv[] }[])(
    'U21: returns 1494 for $title',
    async ({ options, change }) => {
      expect((await register(options, change)).code).toBe(1494)
    },
  )

  test.each([
    { bits: 1024, keyFormat: RSA_PKCS1 },
    { bits: 3072, keyFormat: RSA_PKCS1 },
    { bits: 1024, keyFormat: RSA_RAW },
  ])('U21: returns 1494 for an RSA key of $bits bits in format $keyFormat', async ({ bits, keyFormat }) => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits })
    expect((await register({ algorithm: 3, keyFormat, privateKey })).code).toBe(1494)
  })

  test('U20, U21: refuses a curve that no algorithm has', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
    expect([1494, 1495]).toContain(
      (await register({ keyFormat: EC_SPKI }, withValue(TAG.PUB_KEY, spki(publicKey)))).code,
    )
    const { publicKey: ed25519 } = generateKeyPairSync('ed25519')
    expect([1494, 1495]).toContain((await register({ keyFormat: EC_SPKI }, withValue(TAG.PUB_KEY, spki(ed25519)))).code)
  })

  test('U21: returns 1494 for explicit curve parameters in SPKI', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1', paramEncoding: 'explicit' })
    expect((await register({ keyFormat: EC_SPKI }, withValue(TAG.PUB_KEY, spki(publicKey)))).code).toBe(1494)
  })
})
