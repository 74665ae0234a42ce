import { describe, expect, test } from 'vitest'
import { explainInvalidToken } from '../../../../src/core/crypto/explain-invalid-token.ts'
import { signJws } from '../../../../src/core/crypto/jws.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'

const key = createKey('first', new Uint8Array(32).fill(1))
const foreign = createKey('foreign', new Uint8Array(32).fill(2))
const second = createKey('second', new Uint8Array(32).fill(3))
const expected = { keyring: [key, second], issuer: 'BWS', audience: 'https://tokens.example.com' }
const claims = { iss: expected.issuer, aud: expected.audience }

const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.AA`

const cases: [string, string, RegExp][] = [
  ['text that is no token', 'nonsense', /not a signed token/],
  ['another algorithm', unsigned, /signed with none; expected HS256/],
  ['a key that is not configured', signJws(claims, foreign), /no live key .*; the keys are first, second$/],
  ['another issuer', signJws({ ...claims, iss: 'other' }, key), /iss other; expected BWS/],
  ['an issuer that is an object', signJws({ ...claims, iss: { toString: 1 } }, key), /iss a value that is no text;/],
  ['an issuer that is null', signJws({ ...claims, iss: null }, key), /iss null;/],
  ['another audience', signJws({ ...claims, aud: 'other' }, key), /aud other; expected https:/],
  ['claims of another contract', signJws(claims, key), /the signature is right/],
]

describe('the explanation of an invalid token', () => {
  test.each(cases)('names %s', (_, token, words) => {
    expect(explainInvalidToken(token, expected, () => 0)).toMatch(words)
  })
})
