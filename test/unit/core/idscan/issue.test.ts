import { expect, test } from 'vitest'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import type { IdscanAccount } from '../../../../src/core/idscan/account.ts'
import { issueIdscanToken } from '../../../../src/core/idscan/issue.ts'
import { verifyIdscanToken } from '../../../../src/core/idscan/verify.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const keyring = [createKey('test', new Uint8Array(32))]
const PUBLIC_URL = 'https://t.example.com'
const PSC: IdscanAccount = {
  username: 'psc',
  password: '',
  disabled: false,
  areas: new Set(['scanning']),
  memberOf: [],
}

const issue = () =>
  issueIdscanToken(PSC, 'scanning', {
    keyring,
    clock: createFrozenClock(),
    randomness: createPredictableRandomness(),
    issuer: PUBLIC_URL,
    audience: PUBLIC_URL,
    lifetimeSeconds: 600,
  })

test('I22: issues a token that verifies and leaves unset values out', () => {
  const { token, tokenId, issuedAt, expiresAt } = issue()
  const verified = verifyIdscanToken(token, { keyring, issuer: PUBLIC_URL, audience: PUBLIC_URL }, FROZEN_TIME)
  const times = { iat: issuedAt, nbf: issuedAt, exp: expiresAt }
  const claims = { jti: tokenId, sub: 'psc', area: 'scanning', iss: PUBLIC_URL, aud: PUBLIC_URL, ...times }
  expect(verified).toEqual({ claims })
})

test('I30: rejects a token of another issuer, and one that has expired', () => {
  const { token, expiresAt } = issue()
  const verifier = { keyring, issuer: PUBLIC_URL, audience: PUBLIC_URL }
  expect(verifyIdscanToken(token, { ...verifier, issuer: 'other' }, FROZEN_TIME)).toEqual({ refused: 'invalid_token' })
  expect(verifyIdscanToken(token, verifier, expiresAt * 1000)).toMatchObject({ refused: 'token_expired' })
})
