import { expect, test } from 'vitest'
import { issueFidoToken } from '../../../../src/core/fido/issue.ts'
import { DEFAULT_POLICY } from '../../../../src/core/fido/uaf-request.ts'
import type { RevocationStore } from '../../../../src/core/ports/revocation-store.ts'
import type { TokenRecord } from '../../../../src/core/ports/token-store.ts'
import { createRevocations } from '../../../../src/core/revocations.ts'
import type { Policy } from '../../../../src/core/uaf/policy.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'
import { createFrozenClock } from '../../../support/time.ts'

const NO_REVOCATIONS: RevocationStore = {
  add: async () => undefined,
  since: async () => ({ revocations: [], cursor: undefined, complete: true }),
  sweep: async () => undefined,
  close: async () => undefined,
}

const OURS: Policy = { accepted: [[{ aaid: ['0001#0001'] }]] }
const HIGH: Policy = { accepted: [[{ aaid: ['0001#0002'] }]] }

/** Issues a token and returns the policy in its stored request. */
async function policyFor(policies: Record<string, Policy>, asked: string | undefined): Promise<unknown> {
  const records: TokenRecord[] = []
  await issueFidoToken({ operation: 'registration', username: 'jeff', policy: asked }, undefined, {
    store: {
      create: async (record) => records.push(record) > 0,
      redeem: async () => ({ outcome: 'unknown' }),
      settle: async () => 'ended',
      revoke: async () => false,
      findByToken: async () => undefined,
      findBySession: async () => undefined,
      sweep: async () => undefined,
      close: async () => undefined,
    },
    revocations: createRevocations({ store: NO_REVOCATIONS, clock: createFrozenClock(), uptime: createFrozenClock() }),
    clock: createFrozenClock(),
    randomness: createPredictableRandomness(),
    appId: 'https://fido.example.com/facets',
    policies: new Map(Object.entries(policies)),
    tokenLifetimeMs: 1,
    anonymousLimit: { maxRecords: 1, maxBytes: 1 },
    responseLifetimeMs: { registration: 1, authentication: 1, deregistration: 1 },
  })
  const [request] = JSON.parse(records[0]?.uafRequest ?? '[]') as { policy: unknown }[]
  return request?.policy
}

test.each<[what: string, asked: string | undefined, policies: Record<string, Policy>, policy: unknown]>([
  ['none is named, the configured default', undefined, { high: HIGH, default: OURS }, OURS],
  ['none is named and no default configured, every authenticator', undefined, { high: HIGH }, DEFAULT_POLICY],
  ['one is named, that one', 'high', { high: HIGH, default: OURS }, HIGH],
])('N25: requests the policy: where %s', async (_what, asked, policies, policy) => {
  expect(await policyFor(policies, asked)).toEqual(policy)
})
