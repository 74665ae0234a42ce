import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { base64url, CompactSign } from 'jose'
import { describe, expect, test } from 'vitest'
import { createHmacSha256, sha256 } from '../../../../src/core/crypto/sha256.ts'
import { codePoint } from '../../../support/arbitraries.ts'

const hex = (digest: Buffer) => digest.toString('hex')

/** Texts of several blocks, of characters with one to four bytes. */
const text = fc.oneof(
  fc.string({ maxLength: 300, size: 'max' }),
  fc.string({ unit: codePoint, maxLength: 300, size: 'max' }),
  fc.string({ unit: fc.constantFrom('a', 'ä', '€', '😀'), maxLength: 300, size: 'max' }),
)

describe('sha256', () => {
  test.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ])('computes the digest of %j that FIPS 180-4 gives as an example', (message, digest) => {
    expect(hex(sha256(message))).toBe(digest)
    expect(sha256(message, 'hex')).toBe(digest)
  })

  test('computes the same digest as createHash for any text', () => {
    fc.assert(
      fc.property(text, (message) => {
        expect(hex(sha256(message))).toBe(createHash('sha256').update(message).digest('hex'))
      }),
    )
  })

  test('computes the same digest as createHash for a long text', () => {
    const message = 'long '.repeat(20_000)
    expect(sha256(message)).toStrictEqual(createHash('sha256').update(message).digest())
  })

  test('returns a separate buffer to each caller', () => {
    const first = sha256('first')
    sha256('second')
    expect(hex(first)).toBe(createHash('sha256').update('first').digest('hex'))
  })
})

describe('createHmacSha256', () => {
  test('computes the second example of RFC 4231', () => {
    const hmac = createHmacSha256(Buffer.from('Jefe'))
    const digest = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
    expect(hex(hmac('what do ya want for nothing?'))).toBe(digest)
    expect(hmac('what do ya want for nothing?', 'hex')).toBe(digest)
  })

  test('computes the same HMAC as createHmac for any text under any key', () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 200, size: 'max' })
    fc.assert(
      fc.property(key, text, (secret, message) => {
        const hmac = createHmacSha256(secret)
        const expected = createHmac('sha256', secret).update(message).digest('hex')
        expect(hex(hmac(message))).toBe(expected)
        expect(hex(hmac(message)), 'a second time').toBe(expected)
      }),
    )
  })

  test('keeps the digests of keys that are used in turn apart', () => {
    const [one, two] = [createHmacSha256(Buffer.alloc(32, 1)), createHmacSha256(Buffer.alloc(32, 2))]
    const first = hex(one('text'))
    expect(hex(two('text'))).not.toBe(first)
    expect(hex(one('text'))).toBe(first)
  })

  test('does not change with the buffer that the key was read from', () => {
    const key = Buffer.alloc(32, 1)
    const hmac = createHmacSha256(key)
    const before = hex(hmac('text'))
    key.fill(2)
    expect(hex(hmac('text'))).toBe(before)
  })

  test('computes the signature of jose for the key of RFC 7515 appendix A.1', async () => {
    const secret = base64url.decode(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    )
    const jws = await new CompactSign(Buffer.from('{"iss":"joe"}')).setProtectedHeader({ alg: 'HS256' }).sign(secret)
    const end = jws.lastIndexOf('.')
    expect(createHmacSha256(secret)(jws.slice(0, end)).toString('base64url')).toBe(jws.slice(end + 1))
  })
})
