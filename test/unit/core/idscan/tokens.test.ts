import { expect, test } from 'vitest'
import { signJws } from '../../../../src/core/crypto/jws.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import type { IdscanAccount } from '../../../../src/core/idscan/account.ts'
import { createIdleTimeout } from '../../../../src/core/idscan/idle.ts'
import { createIdscanTokens } from '../../../../src/core/idscan/tokens.ts'
import { createRevocations } from '../../../../src/core/revocations.ts'
import { openStores } from '../../../../src/store/open-stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const key = createKey('test', new Uint8Array(32))
const PUBLIC_URL = 'https://t.example.com'
const NOW = Math.floor(FROZEN_TIME / 1000)

const account = (username: string, disabled = false): IdscanAccount => ({
  username,
  password: '',
  disabled,
  areas: new Set(['scanning']),
  memberOf: [],
})

const issue = (sub: string, iat = NOW): string =>
  signJws(
    { jti: `${sub}-${iat}`, sub, area: 'scanning', iss: PUBLIC_URL, aud: PUBLIC_URL, iat, nbf: iat, exp: iat + 36_000 },
    key,
  )

async function start(timeout?: number) {
  const stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  const clock = createFrozenClock()
  const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
  const tokens = createIdscanTokens({
    verifier: { keyring: [key], issuer: PUBLIC_URL, audience: PUBLIC_URL },
    accounts: new Map(['psc', 'other'].map((name) => [name, account(name)])).set('gone', account('gone', true)),
    revocations,
    idleTimeout: timeout === undefined ? undefined : createIdleTimeout(timeout, stores.uses, clock),
    clock,
  })
  return { clock, revocations, tokens, [Symbol.asyncDispose]: () => stores.close() }
}

test('I30: rejects tokens issued before their account was revoked, and accepts later ones and those of other accounts', async () => {
  await using parts = await start()
  await parts.revocations.revokeIssued('account psc')
  parts.clock.advance(1_000)
  expect(await parts.tokens.find(issue('psc'))).toMatchObject({ refused: 'token_revoked' })
  for (const token of [issue('psc', NOW + 1), issue('other')]) {
    expect(await parts.tokens.find(token)).not.toHaveProperty('refused')
  }
})

test.each([
  ['a disabled account', 'gone', 'account_disabled'],
  ['an unknown account', 'nobody', 'unknown_account'],
])('I30: rejects a token of %s and returns its claims', async (_what, name, refused) => {
  await using parts = await start()
  expect(await parts.tokens.find(issue(name))).toMatchObject({ refused, claims: { sub: name } })
})

test('I33: counts a successful check as a use, but neither find nor a check for another area', async () => {
  await using parts = await start(900)
  const jws = issue('psc')
  parts.clock.advance(600_000)
  expect(await parts.tokens.check(jws, 'scanning')).not.toHaveProperty('refused')
  parts.clock.advance(600_000)
  expect(await parts.tokens.find(jws)).not.toHaveProperty('refused')
  expect(await parts.tokens.check(jws, 'investigation')).toMatchObject({ refused: 'wrong_area' })
  parts.clock.advance(300_000)
  expect(await parts.tokens.check(jws, 'scanning')).toMatchObject({ refused: 'token_idle' })
})

test('says why a token is invalid', async () => {
  await using parts = await start()
  expect(parts.tokens.explainInvalid('no token')).toContain('is not a signed token')
})
