import { createHmac, createSecretKey, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { compactVerify, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { decodeJws, signJws, verifyJws } from '../../../../src/core/crypto/jws.ts'
import { createKey, liveKeys, signingKey } from '../../../../src/core/crypto/keyring.ts'
import { codePoint } from '../../../support/arbitraries.ts'

const bytes = (fill: number) => new Uint8Array(32).fill(fill)
const first = createKey('first', bytes(1))
const second = createKey('second', bytes(2), 2_000)
const foreign = createKey('foreign', bytes(3))

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs any header and claims with the first key. */
function forge(header: unknown, claims: unknown, algorithm = 'sha256'): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac(algorithm, bytes(1)).update(input).digest('base64url')}`
}

describe('signing', () => {
  test('B27: signs claims so that jose verifies them and the payload is plain base64', async () => {
    const claims = fc.dictionary(
      fc.string(),
      fc.oneof(fc.string({ unit: codePoint }), fc.integer(), fc.array(fc.string())),
    )
    await fc.assert(
      fc.asyncProperty(claims, async (value) => {
        const token = signJws(value, first)
        const { payload } = await compactVerify(token, createSecretKey(bytes(1)), { algorithms: ['HS256'] })
        expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(JSON.parse(JSON.stringify(value)))
        expect(token.split('.')[1]).toMatch(/^[A-Za-z0-9+/]+$/)
        expect(verifyJws(token, [first], 0)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  test('B27: encodes every character as plain base64, at every position in a group of three', () => {
    for (let code = 0; code < 0x250; code++) {
      for (const padding of ['', 'a', 'aa']) {
        const [, payload = ''] = signJws({ c: `${padding}${String.fromCharCode(code)}` }, first).split('.')
        expect(payload).not.toMatch(/[-_]/)
      }
    }
  })
})

describe('a token of any length', () => {
  test.each([0, 1, 2, 1_900, 2_000, 3_000, 3_100, 4_200, 20_000])(
    'signs and verifies %i characters of claims',
    async (length) => {
      const claims = { text: 'x'.repeat(length) }
      const long = signJws(claims, first)
      expect(verifyJws(long, [first], 0)).toEqual(claims)
      const { payload } = await compactVerify(long, createSecretKey(bytes(1)))
      expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(claims)
    },
  )
})

describe('verifying', () => {
  const token = signJws({ a: 1 }, second)

  test('verifies with every live key, in any order', () => {
    expect(verifyJws(token, [first, second], 1_999)).toEqual({ a: 1 })
    expect(verifyJws(token, [second, first], 1_999)).toEqual({ a: 1 })
  })

  test('rejects a signature of a key from its notAfter on', () => {
    expect(verifyJws(token, [first, second], 2_000)).toBeUndefined()
  })

  test('rejects every token without keys and with foreign keys', () => {
    expect(verifyJws(token, [], 0)).toBeUndefined()
    expect(verifyJws(token, [first, foreign], 0)).toBeUndefined()
  })

  test('rejects a token with any one character changed', () => {
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === 'A' ? 'B' : 'A'
      expect(verifyJws(`${token.slice(0, at)}${other}${token.slice(at + 1)}`, [second], 0), `at ${at}`).toBeUndefined()
    }
  })

  const header = { alg: 'HS256', typ: 'JWT' }
  const forgeries: [string, string][] = [
    ['an empty signature', `${encode(header)}.${encode({})}.`],
    ['alg none', `${encode({ alg: 'none', typ: 'JWT' })}.${encode({})}.`],
    ['alg none and a signature', forge({ alg: 'none', typ: 'JWT' }, {})],
    ['alg HS512', forge({ alg: 'HS512', typ: 'JWT' }, {}, 'sha512')],
    ['alg hs256', forge({ alg: 'hs256', typ: 'JWT' }, {})],
    ['header members in another order', forge({ typ: 'JWT', alg: 'HS256' }, {})],
    ['a kid', forge({ ...header, kid: 'first' }, {})],
    ['crit', forge({ ...header, crit: ['exp'] }, {})],
    ['claims that are an array', forge(header, [1])],
    ['claims that are null', forge(header, null)],
    ['four segments', `${signJws({}, first)}.x`],
    ['five segments', `${signJws({}, first)}.x.y`],
    ['two segments', signJws({}, first).split('.').slice(0, 2).join('.')],
    ['padding', `${signJws({}, first)}=`],
    ['a blank', `${signJws({}, first)} `],
    ['no characters', ''],
    ['dots alone', '..'],
  ]
  test.each(forgeries)('rejects a token with %s', (_name, forged) => {
    expect(verifyJws(forged, [first], 0)).toBeUndefined()
  })

  test('accepts a token that jose signed only with the same key and header', async () => {
    const sign = (key: Uint8Array, typ?: string) =>
      new SignJWT({ a: 1 }).setProtectedHeader({ alg: 'HS256', ...(typ ? { typ } : {}) }).sign(key)
    expect(verifyJws(await sign(bytes(1), 'JWT'), [first], 0)).toEqual({ a: 1 })
    expect(verifyJws(await sign(bytes(1)), [first], 0)).toBeUndefined()
    expect(verifyJws(await sign(bytes(9), 'JWT'), [first], 0)).toBeUndefined()
  })

  test('rejects a token signed with a private key', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const signed = await new SignJWT({}).setProtectedHeader({ alg: 'RS256', typ: 'JWT' }).sign(privateKey)
    expect(verifyJws(signed, [first], 0)).toBeUndefined()
  })

  test.each([0x100, 0x1_f600, 0xd800])(
    'rejects a token with a character replaced by one that has the same last byte, beyond %i',
    (beyond) => {
      for (let at = 0; at < token.length; at++) {
        const other = String.fromCodePoint(beyond + token.charCodeAt(at))
        expect(
          verifyJws(`${token.slice(0, at)}${other}${token.slice(at + 1)}`, [second], 0),
          `at ${at}`,
        ).toBeUndefined()
      }
    },
  )

  test('verifies and decodes any text without throwing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.base64String(), { maxLength: 5 }).map((p) => p.join('.')),
        ),
        (text) => {
          expect(verifyJws(text, [first], 0)).toBeUndefined()
          decodeJws(text)
        },
      ),
    )
  })
})

describe('decoding', () => {
  test('decodes header and claims without a key', () => {
    expect(decodeJws(signJws({ a: 'ü' }, foreign))).toEqual({
      header: { alg: 'HS256', typ: 'JWT' },
      claims: { a: 'ü' },
    })
  })

  test.each(['', 'a.b', 'a.b.c', `${encode([])}.${encode({})}.x`, `${encode({})}.${encode('x')}.x`])(
    'returns undefined when decoding %j',
    (text) => {
      expect(decodeJws(text)).toBeUndefined()
    },
  )
})

describe('keyring', () => {
  test('signs with the first live key', () => {
    expect(signingKey([second, first], 1_999).id).toBe('second')
    expect(signingKey([second, first], 2_000).id).toBe('first')
    expect(liveKeys([second, first], 2_000)).toEqual([first])
  })

  test('throws when no key is live', () => {
    expect(() => signingKey([second], 2_000)).toThrow('no live signing key')
    expect(() => signingKey([], 0)).toThrow('no live signing key')
  })

  test('rejects a key under 32 bytes', () => {
    expect(() => createKey('short', new Uint8Array(31))).toThrow(RangeError)
    expect(createKey('enough', new Uint8Array(32)).notAfter).toBe(Number.POSITIVE_INFINITY)
  })
})
