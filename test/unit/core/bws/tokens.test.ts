import { expect, test } from 'vitest'
import { encodeTask } from '../../../../src/core/bws/task.ts'
import { createBwsTokens } from '../../../../src/core/bws/tokens.ts'
import { signJws } from '../../../../src/core/crypto/jws.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import { createRevocations } from '../../../../src/core/revocations.ts'
import { openStores } from '../../../../src/store/open-stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const key = createKey('test', new Uint8Array(32))
const AUDIENCE = 'https://t.example.com'
const NOW = Math.floor(FROZEN_TIME / 1000)
const OPTIONS = { task: 'verify', maxtries: 3, livedetection: true, challenge: false, autoenroll: false } as const

function issue(tokenid: string, app: string, nbf = NOW): string {
  const claims = { tokenid, clnt: 'Client', app, bcid: 'bws/1/2', traits: 3, task: encodeTask(OPTIONS) }
  return signJws({ ...claims, iss: 'BWS', aud: AUDIENCE, exp: nbf + 600, nbf }, key)
}

async function start() {
  const stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  const clock = createFrozenClock()
  const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
  const tokens = createBwsTokens({
    verifier: { keyring: [key], issuer: 'BWS', audience: AUDIENCE },
    apps: new Set(['app-1', 'app-2']),
    revocations,
    uses: stores.uses,
    clock,
  })
  return { clock, revocations, tokens, [Symbol.asyncDispose]: () => stores.close() }
}

test('B34: rejects tokens issued before their app was revoked, and accepts later ones and those of other apps', async () => {
  await using parts = await start()
  await parts.revocations.revokeIssued('app app-1')
  parts.clock.advance(1_000)
  expect(await parts.tokens.find(issue('before', 'app-1'))).toMatchObject({ refused: 'token_revoked' })
  for (const token of [issue('later', 'app-1', NOW + 1), issue('other', 'app-2')]) {
    expect(await parts.tokens.find(token)).not.toHaveProperty('refused')
  }
})

test("B35: counts one try for each check of the token's own task", async () => {
  await using parts = await start()
  const jws = issue('id', 'app-1')
  for (const left of [2, 1, 0]) {
    const checked = await parts.tokens.check(jws, 'verify')
    expect(checked).toMatchObject({ triesLeft: left })
    if ('token' in checked) expect(await parts.tokens.triesLeft(checked.token)).toBe(left)
  }
  expect(await parts.tokens.check(jws, 'verify')).toMatchObject({ refused: 'tries_used_up' })
})

test('says why a token is invalid', async () => {
  await using parts = await start()
  expect(parts.tokens.explainInvalid('no token')).toContain('is not a signed token')
})
