import { expect, test } from 'vitest'
import type { FidoContext } from '../../../../src/core/fido/context.ts'
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

const REGISTRATION: FidoContext = { operation: 'registration', username: 'jeff', policy: undefined }

const LIMIT = { maxRecords: 1, maxBytes: 1 }

/** Issues a token; returns the record and the limit that the store was given, and the subjects that were looked up. */
async function issue(
  {
    policies = {},
    client,
    isFull = false,
  }: { policies?: Record<string, Policy>; client?: string; isFull?: boolean } = {},
  context: FidoContext = REGISTRATION,
) {
  const created: [record: TokenRecord, limit: unknown][] = []
  const asked: string[] = []
  const clock = createFrozenClock()
  const revocations = createRevocations({ store: NO_REVOCATIONS, clock, uptime: clock })
  await issueFidoToken(context, client, {
    store: {
      async create(record, limit) {
        created.push([record, limit])
        return !isFull
      },
      redeem: async () => ({ outcome: 'unknown' }),
      settle: async () => 'ended',
      revoke: async () => false,
      findByToken: async () => undefined,
      findBySession: async () => undefined,
      sweep: async () => undefined,
      close: async () => undefined,
    },
    revocations: {
      ...revocations,
      latestOf(subject) {
        asked.push(subject)
        return 7
      },
    },
    clock,
    randomness: createPredictableRandomness(),
    appId: 'https://fido.example.com/facets',
    policies: new Map(Object.entries(policies)),
    tokenLifetimeMs: 1,
    anonymousLimit: LIMIT,
    responseLifetimeMs: { registration: 1, authentication: 1, deregistration: 1 },
  })
  const [record, limit] = created[0] ?? []
  return { record, limit, asked }
}

async function policyFor(policies: Record<string, Policy>, policy: string | undefined): Promise<unknown> {
  const { record } = await issue({ policies }, { ...REGISTRATION, policy })
  const [request] = JSON.parse(record?.uafRequest ?? '[]') as { policy: unknown }[]
  return request?.policy
}

test.each<[what: string, asked: string | undefined, policies: Record<string, Policy>, policy: unknown]>([
  ['none is named, the configured default', undefined, { high: HIGH, default: OURS }, OURS],
  ['none is named and no default configured, every authenticator', undefined, { high: HIGH }, DEFAULT_POLICY],
  ['one is named, that one', 'high', { high: HIGH, default: OURS }, HIGH],
])('N25: requests the policy: where %s', async (_what, asked, policies, policy) => {
  expect(await policyFor(policies, asked)).toEqual(policy)
})

test('limits the tokens of callers without credentials, and no others', async () => {
  expect((await issue()).limit).toEqual(LIMIT)
  expect((await issue({ client: 'backend' })).limit).toBeUndefined()
})

test('rejects where the store has no room for another token of a caller without credentials', async () => {
  await expect(issue({ isFull: true })).rejects.toThrow(
    expect.objectContaining({
      name: 'AnonymousLimitError',
      code: 'ERR_ANONYMOUS_LIMIT',
      message: 'too many tokens of callers without credentials',
    }),
  )
})

test('notes the latest revocation of the user, and none without a user', async () => {
  const named = await issue()
  expect([named.record?.knownRevocation, named.asked]).toEqual([7, ['user jeff']])
  const unnamed = await issue(
    {},
    { operation: 'authentication', username: undefined, policy: undefined, transaction: undefined },
  )
  expect([unnamed.record?.knownRevocation, unnamed.asked]).toEqual([0, []])
})
