import { expect, test } from 'vitest'
import { verifyBwsToken } from '../../../../src/core/bws/verify.ts'
import { type Claims, signJws } from '../../../../src/core/crypto/jws.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import { FROZEN_TIME } from '../../../support/time.ts'

const key = createKey('test', new Uint8Array(32))
const verifier = { keyring: [key], issuer: 'BWS', audience: 'https://t.example.com' }
const NOW = Math.floor(FROZEN_TIME / 1000)
const CLAIMS = {
  tokenid: 'id',
  clnt: 'Client',
  app: 'app-1',
  bcid: 'bws/1/2',
  traits: 3,
  task: 771,
  iss: 'BWS',
  aud: 'https://t.example.com',
  exp: NOW + 600,
  nbf: NOW,
}

const verify = (claims: Claims) => verifyBwsToken(signJws(claims, key), verifier, FROZEN_TIME)

test.each([
  ['an array', [['up', 'down']]],
  ['JSON text', '[["up","down"]]'],
])('decodes a challenge that is %s', (_what, challenge) => {
  expect(verify({ ...CLAIMS, challenge })).toMatchObject({ token: { challenge: [['up', 'down']] } })
})

test.each<[what: string, changed: Claims]>([
  ['a challenge that is not JSON', { challenge: '[[' }],
  ['a challenge that is not a list of lists', { challenge: '["up"]' }],
  ['task bits that are never issued', { task: 0 }],
  ['a time that is not a number', { exp: '2030' }],
  ['no id', { tokenid: undefined }],
])('rejects a signed token with %s', (_what, changed) => {
  expect(verify({ ...CLAIMS, ...changed })).toEqual({ refused: 'invalid_token' })
})
