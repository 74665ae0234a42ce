import { createHash, createHmac, hash } from 'node:crypto'
import fc from 'fast-check'
import { base64url, CompactSign } from 'jose'
import { describe, expect, test, vi } from 'vitest'
import { createHmacSha256, sha256 } from '../../../../src/core/crypto/sha256.ts'
import { codePoint } from '../../../support/arbitraries.ts'

// So that it can be seen what is given to it.
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, hash: vi.fn(crypto.hash) }
})

const hex = (digest: Buffer) => digest.toString('hex')

/** Long enough for several blocks, and for what is left to node:crypto; of characters of one, two, three and four bytes. */
const text = fc.oneof(
  fc.string({ maxLength: 300, size: 'max' }),
  fc.string({ unit: codePoint, maxLength: 300, size: 'max' }),
  fc.string({ unit: fc.constantFrom('a', 'ä', '€', '😀'), minLength: 4_000, maxLength: 4_200 }),
)

describe('SHA-256', () => {
  test.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ])('of %j is what FIPS 180-4 has as its example', (message, digest) => {
    expect(hex(sha256(message))).toBe(digest)
  })

  test('is what node:crypto makes of every length around a block and around the longest text', () => {
    for (const around of [0, 64, 128, 4_096]) {
      for (let length = Math.max(0, around - 12); length < around + 12; length++) {
        const message = 'x'.repeat(length)
        expect(hex(sha256(message))).toBe(createHash('sha256').update(message).digest('hex'))
      }
    }
  })

  test('is what node:crypto makes of any text', () => {
    fc.assert(
      fc.property(text, (message) => {
        expect(hex(sha256(message))).toBe(createHash('sha256').update(message).digest('hex'))
      }),
    )
  })

  test.each([
    ['the longest text of the longest characters', '€'.repeat(4_096)],
    ['a text a little longer', '€'.repeat(4_097)],
    ['a text that is much longer', 'long '.repeat(20_000)],
  ])('is what node:crypto makes of %s, as bytes', (_what, message) => {
    const expected = createHash('sha256').update(message).digest()
    expect(sha256(message)).toStrictEqual(expected)
    expect(createHmacSha256(Buffer.from('key'))(message)).toStrictEqual(
      createHmac('sha256', 'key').update(message).digest(),
    )
    // Nothing of it is left in the next.
    expect(sha256('')).toStrictEqual(createHash('sha256').digest())
  })

  test('gives each caller a digest of their own', () => {
    const first = sha256('first')
    sha256('second')
    expect(hex(first)).toBe(createHash('sha256').update('first').digest('hex'))
  })
})

describe('HMAC-SHA256', () => {
  test.each([
    ['a text', 'what nobody else may read'],
    ['a long one', 'long '.repeat(2_000)],
  ])('leaves nothing behind of %s in the memory that it was hashed from', (_, message) => {
    const hmac = createHmacSha256(Buffer.from('key'))
    vi.mocked(hash).mockClear()
    hmac(message)
    const bytes = vi.mocked(hash).mock.calls[0]?.[1] as Buffer
    expect(bytes).toHaveLength(64 + message.length)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })

  test('is what RFC 4231 has as its second example', () => {
    const hmac = createHmacSha256(Buffer.from('Jefe'))
    expect(hex(hmac('what do ya want for nothing?'))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })

  test('is what node:crypto makes of any text under any key, also one longer than a block', () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 200, size: 'max' })
    fc.assert(
      fc.property(key, text, (secret, message) => {
        const hmac = createHmacSha256(secret)
        const expected = createHmac('sha256', secret).update(message).digest('hex')
        expect(hex(hmac(message))).toBe(expected)
        // Nothing of one text is left in the next.
        expect(hex(hmac(message))).toBe(expected)
      }),
    )
  })

  test.each([63, 64, 65, 131])('takes a key of %i bytes as node:crypto does', (length) => {
    const key = Buffer.alloc(length, 0xaa)
    expect(hex(createHmacSha256(key)('text'))).toBe(createHmac('sha256', key).update('text').digest('hex'))
  })

  test('keeps keys apart that are used in turn', () => {
    const [one, two] = [createHmacSha256(Buffer.alloc(32, 1)), createHmacSha256(Buffer.alloc(32, 2))]
    const first = hex(one('text'))
    expect(hex(two('text'))).not.toBe(first)
    expect(hex(one('text'))).toBe(first)
  })

  test('is what jose signs with (RFC 7515 appendix A.1)', async () => {
    const secret = base64url.decode(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    )
    const jws = await new CompactSign(Buffer.from('{"iss":"joe"}')).setProtectedHeader({ alg: 'HS256' }).sign(secret)
    const end = jws.lastIndexOf('.')
    expect(createHmacSha256(secret)(jws.slice(0, end)).toString('base64url')).toBe(jws.slice(end + 1))
  })
})
