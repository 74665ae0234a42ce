import { expect, test } from 'vitest'
import { systemRandomness } from '../../../../src/app/system-randomness.ts'
import { type FidoIssuer, type FidoToken, issueFidoToken } from '../../../../src/core/fido/issue.ts'
import { createFidoTokens, type FidoTokens, isRedeemable } from '../../../../src/core/fido/tokens.ts'
import type { TokenRecord } from '../../../../src/core/ports/token-store.ts'
import { createRevocations, MAX_STALENESS_MS } from '../../../../src/core/revocations.ts'
import { openStores } from '../../../../src/store/open-stores.ts'
import { createRecord } from '../../../support/records.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const LIFETIME = 300_000 // milliseconds

async function start() {
  const stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  const clock = createFrozenClock()
  const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
  const issuer: FidoIssuer = {
    store: stores.tokens,
    revocations,
    clock,
    randomness: systemRandomness,
    appId: 'https://fido.example.com/facets',
    policies: new Map(),
    tokenLifetimeMs: LIFETIME,
    anonymousLimit: { maxRecords: 10, maxBytes: 10_000 },
    responseLifetimeMs: { registration: 60_000, authentication: 60_000, deregistration: 60_000 },
  }
  return {
    clock,
    revocations,
    /** The cache of another process on the same store. */
    elsewhere: createRevocations({ store: stores.revocations, clock, uptime: clock }),
    /** Issues a token to jeff in another process on the same store, whose clock is wrong by a time in milliseconds. */
    issueElsewhere: (skew: number) => {
      const wrongClock = () => clock() + skew
      const own = createRevocations({ store: stores.revocations, clock: wrongClock, uptime: clock })
      return issueFidoToken({ operation: 'registration', username: 'jeff', policy: undefined }, 'c', {
        ...issuer,
        clock: wrongClock,
        revocations: own,
      })
    },
    tokens: createFidoTokens({
      store: stores.tokens,
      credentials: stores.credentials,
      findStatement: () => undefined,
      revocations,
      clock,
    }),
    issue: (username: string | undefined) =>
      issueFidoToken({ operation: 'authentication', username, policy: undefined, transaction: undefined }, 'c', issuer),
    [Symbol.asyncDispose]: () => stores.close(),
  }
}

test.each<[what: string, changed: Partial<TokenRecord>, now: number, redeemable: boolean]>([
  ['a fresh token', {}, FROZEN_TIME, true],
  ['a token in its last millisecond', {}, FROZEN_TIME + LIFETIME - 1, true],
  ['a token created five seconds from now', {}, FROZEN_TIME - 5_000, true],
  ['a token created later than that', {}, FROZEN_TIME - 5_001, false],
  ['an expired token', {}, FROZEN_TIME + LIFETIME, false],
  ['a redeemed token', { redeemedAt: FROZEN_TIME }, FROZEN_TIME, false],
  ['a revoked token', { revokedAt: FROZEN_TIME }, FROZEN_TIME, false],
])('isRedeemable tells whether %s can be redeemed', (_what, changed, now, redeemable) => {
  const record = createRecord({ createdAt: FROZEN_TIME, expiresAt: FROZEN_TIME + LIFETIME, ...changed })
  expect(isRedeemable(record, now)).toBe(redeemable)
})

test('revokes the tokens that a user was issued so far, and no others', async () => {
  await using parts = await start()
  const [of, other, anonymous] = [await parts.issue('jeff'), await parts.issue('anna'), await parts.issue(undefined)]
  await parts.revocations.revokeIssued('user jeff')
  parts.clock.advance(1)
  const later = await parts.issue('jeff')

  expect(await parts.tokens.find(of.token)).toMatchObject({ username: 'jeff', revokedAt: FROZEN_TIME })
  expect(await parts.tokens.findBySession(of.sessionId)).toMatchObject({ revokedAt: FROZEN_TIME })
  expect(await parts.tokens.redeem(of.token, 'authentication')).toEqual({ outcome: 'spent' })
  for (const { token, sessionId } of [other, anonymous, later]) {
    expect(await parts.tokens.find(token)).toMatchObject({ revokedAt: undefined })
    expect(await parts.tokens.findBySession(sessionId)).toMatchObject({ revokedAt: undefined })
    expect(await parts.tokens.redeem(token, 'authentication')).toMatchObject({ outcome: 'redeemed' })
  }
})

const SKEWS = [-3_600_000, -1, 1, 4_000, 120_000]

test.each(SKEWS)(
  "revokes a user's token of a process whose clock is wrong by %i ms, and none after it",
  async (skew) => {
    await using parts = await start()
    const before = await parts.issueElsewhere(skew)
    await parts.revocations.revokeIssued('user jeff')
    const after = [await parts.issueElsewhere(skew), await parts.issue('jeff')]
    const isRevoked = async ({ token }: FidoToken) => (await parts.tokens.find(token))?.revokedAt !== undefined
    expect(await isRevoked(before)).toBe(true)
    for (const token of after) expect(await isRevoked(token)).toBe(false)

    // A second revocation in the same millisecond, or by a clock that is behind, covers them.
    parts.clock.advance(skew > 0 ? 0 : -1_000)
    await parts.revocations.revokeIssued('user jeff')
    parts.clock.advance(Math.max(skew, 1_000))
    for (const { token } of [before, ...after]) {
      expect(await parts.tokens.redeem(token, 'registration')).toEqual({ outcome: 'spent' })
    }
  },
)

test('reads revocations of other processes before a token is created, so that it is not taken for an earlier one', async () => {
  await using parts = await start()
  await parts.revocations.refresh()
  await parts.elsewhere.revokeIssued('user jeff')
  parts.clock.advance(MAX_STALENESS_MS)
  const { token } = await parts.issue('jeff')
  expect(await parts.tokens.redeem(token, 'authentication')).toMatchObject({ outcome: 'redeemed' })
})

test.each<[what: string, ask: (tokens: FidoTokens, issued: FidoToken) => Promise<unknown>, answer: object]>([
  ['finding a token', (tokens, { token }) => tokens.find(token), { revokedAt: FROZEN_TIME }],
  ['finding a session', (tokens, { sessionId }) => tokens.findBySession(sessionId), { revokedAt: FROZEN_TIME }],
  ['redeeming a token', (tokens, { token }) => tokens.redeem(token, 'authentication'), { outcome: 'spent' }],
])('reads revocations of other processes before %s', async (_what, ask, answer) => {
  await using parts = await start()
  const issued = await parts.issue('jeff')
  await parts.elsewhere.revokeIssued('user jeff')
  parts.clock.advance(MAX_STALENESS_MS)
  expect(await ask(parts.tokens, issued)).toMatchObject(answer)
})

test("keeps the time of a token's own revocation when its user is revoked later", async () => {
  await using parts = await start()
  const { token } = await parts.issue('jeff')
  expect(await parts.tokens.revoke(token)).toBe(true)
  parts.clock.advance(1_000)
  await parts.revocations.revokeIssued('user jeff')
  expect(await parts.tokens.find(token)).toMatchObject({ revokedAt: FROZEN_TIME })
})

test('revokes a token once, and returns false for an expired one', async () => {
  await using parts = await start()
  const { token } = await parts.issue('jeff')
  const { token: late } = await parts.issue('jeff')
  parts.clock.advance(LIFETIME - 1)
  expect(await parts.tokens.revoke(token)).toBe(true)
  expect(await parts.tokens.revoke(token)).toBe(false)
  parts.clock.advance(1)
  expect(await parts.tokens.revoke(late)).toBe(false)
  parts.clock.advance(-1)
  expect(await parts.tokens.redeem(late, 'authentication')).toEqual({ outcome: 'spent' })
  expect(await parts.tokens.revoke('no token')).toBe(false)
})

test('revokes a redeemed token after it has expired, while its response may still arrive', async () => {
  await using parts = await start()
  const { token } = await parts.issue('jeff')
  await parts.tokens.redeem(token, 'authentication')
  parts.clock.advance(LIFETIME)
  expect(await parts.tokens.revoke(token)).toBe(true)
})
