import { expect, test } from 'vitest'
import { issueFidoToken } from '../../../../src/core/fido/issue.ts'
import { type AnsweredOperation, createFidoResponses } from '../../../../src/core/fido/responses.ts'
import { createFidoTokens } from '../../../../src/core/fido/tokens.ts'
import type { TokenStore } from '../../../../src/core/ports/token-store.ts'
import { createRevocations } from '../../../../src/core/revocations.ts'
import type { Policy } from '../../../../src/core/uaf/policy.ts'
import type { UafRules } from '../../../../src/core/uaf/verdict.ts'
import { openStores } from '../../../../src/store/open-stores.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'
import { createFrozenClock } from '../../../support/time.ts'
import {
  APP_ID,
  type AuthenticationParts,
  buildAuthentication,
  buildRegistration,
  buildResponse,
  createAuthenticatorKey,
  encodeFcParams,
  FACET,
  hashOf,
} from '../../../support/uaf/assertions.ts'

const key = createAuthenticatorKey()
const LIFETIME_MS = 60_000

interface SentRequest {
  readonly header: { readonly serverData: string }
  readonly challenge: string
  readonly policy: Policy
  readonly authenticators: unknown
}

/** Starts the services of one process on a store in memory. */
async function start(policy?: Policy) {
  const stores = await openStores('sqlite::memory:')
  const clock = createFrozenClock()
  const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
  const rules: UafRules = {
    appId: APP_ID,
    facets: new Set([FACET]),
    findStatement: () => undefined,
    attestation: 'surrogate',
  }
  const tokens = createFidoTokens({
    store: stores.tokens,
    credentials: stores.credentials,
    findStatement: rules.findStatement,
    revocations,
    clock,
  })
  const issuer = {
    store: stores.tokens,
    revocations,
    clock,
    randomness: createPredictableRandomness(),
    appId: APP_ID,
    policies: new Map(policy ? [['default', policy]] : []),
    tokenLifetimeMs: LIFETIME_MS,
    anonymousLimit: { maxRecords: 1_000, maxBytes: 1_000_000 },
    responseLifetimeMs: { registration: LIFETIME_MS, authentication: LIFETIME_MS, deregistration: LIFETIME_MS },
  }

  const createResponses = (store: TokenStore = stores.tokens) =>
    createFidoResponses({ tokens, store, credentials: stores.credentials, rules, isKnownUser: () => true, clock })

  async function ask(context: Parameters<typeof issueFidoToken>[0]): Promise<SentRequest & { token: string }> {
    const { token } = await issueFidoToken(context, 'backend', issuer)
    const redeemed = await tokens.redeem(token, context.operation)
    if (redeemed.outcome !== 'redeemed') throw new Error(redeemed.outcome)
    const [request] = JSON.parse(redeemed.uafRequest) as [SentRequest]
    return { ...request, token }
  }

  const askToRegister = () => ask({ operation: 'registration', username: 'jeff', policy: undefined })
  const askToAuthenticate = (username: string | undefined = 'jeff') =>
    ask({ operation: 'authentication', username, policy: undefined, transaction: undefined })

  return {
    stores,
    clock,
    revocations,
    tokens,
    createResponses,
    responses: createResponses(),
    ask,
    askToRegister,
    askToAuthenticate,
    [Symbol.asyncDispose]: () => stores.close(),
  }
}

const fcParamsOf = ({ challenge }: SentRequest) => encodeFcParams({ challenge })

function answerRegistration(request: SentRequest, parts: object = {}) {
  const fcParams = fcParamsOf(request)
  const assertions = [buildRegistration({ key, fcParams, ...parts })]
  return buildResponse({ op: 'Reg', assertions, serverData: request.header.serverData, fcParams })
}

function answerAuthentication(request: SentRequest, parts: Partial<AuthenticationParts> = {}) {
  const fcParams = fcParamsOf(request)
  const assertions = [buildAuthentication({ key, fcParams, ...parts })]
  return buildResponse({ op: 'Auth', assertions, serverData: request.header.serverData, fcParams })
}

test('U27, U31, U34: registers a key, and moves its counter with each authentication', async () => {
  await using parts = await start()
  const { responses, stores, clock } = parts
  const registration = answerRegistration(await parts.askToRegister())
  expect(await responses.take('registration', registration, 0)).toMatchObject({ outcome: 'succeeded' })
  expect(await responses.take('registration', registration, 0)).toMatchObject({ outcome: 'ended' })
  expect(await stores.credentials.findByUser('jeff')).toMatchObject([
    { signCounter: 1, registeredAt: clock(), lastUsedAt: undefined },
  ])
  const authentication = answerAuthentication(await parts.askToAuthenticate())
  expect(await responses.take('authentication', authentication, undefined)).toMatchObject({ outcome: 'succeeded' })
  expect(await stores.credentials.findByUser('jeff')).toMatchObject([{ signCounter: 2, lastUsedAt: clock() }])
  const anonymous = await parts.askToAuthenticate(undefined)
  expect(await responses.take('authentication', answerAuthentication(anonymous, { counter: 3 }), 6)).toMatchObject({
    outcome: 'succeeded',
  })
  expect((await parts.tokens.find(anonymous.token))?.outcome).toMatchObject({ username: 'jeff', asmStatusCode: 6 })
  expect(await parts.tokens.revoke(anonymous.token)).toBe(false)
})

test('U5: adds the keys of the user to the policy at redemption', async () => {
  await using parts = await start()
  await parts.responses.take('registration', answerRegistration(await parts.askToRegister()), undefined)
  const [{ keyId = '' } = {}] = await parts.stores.credentials.findByUser('jeff')
  const criteria = { aaid: ['F1D0#0001'], keyIDs: [keyId] }
  expect((await parts.askToRegister()).policy).toMatchObject({ disallowed: [criteria] })
  expect((await parts.askToAuthenticate()).policy).toEqual({ accepted: [[criteria]] })
  expect((await parts.askToAuthenticate('eve')).policy.accepted).not.toEqual([[criteria]])
})

test('U5: leaves a policy alone whose sets have several members', async () => {
  const policy = { accepted: [[{ vendorID: ['F1D0'] }], [{ aaid: ['0000#0001'] }, { aaid: ['0000#0002'] }]] }
  await using parts = await start(policy)
  await parts.responses.take('registration', answerRegistration(await parts.askToRegister()), undefined)
  expect((await parts.askToAuthenticate()).policy).toEqual(policy)
})

test('U6: deletes and lists the keys of the user at redemption', async () => {
  await using parts = await start()
  await parts.responses.take('registration', answerRegistration(await parts.askToRegister()), undefined)
  const [{ keyId = '' } = {}] = await parts.stores.credentials.findByUser('jeff')
  const all = [{ aaid: '', keyID: '' }]
  const dereg = () =>
    parts.ask({ operation: 'deregistration', username: 'jeff', policy: undefined, authenticators: all })
  expect((await dereg()).authenticators).toEqual([{ aaid: 'F1D0#0001', keyID: keyId }])
  expect((await dereg()).authenticators).toEqual(all)
  const late = answerAuthentication(await parts.askToAuthenticate(undefined), { counter: 9 })
  expect(await parts.responses.take('authentication', late, undefined)).toMatchObject({ failure: 'unknown_key' })
})

test('U32: verifies the transaction that was asked for', async () => {
  await using parts = await start()
  await parts.responses.take('registration', answerRegistration(await parts.askToRegister()), undefined)
  const content = Buffer.from('Pay 10')
  const request = await parts.ask({
    operation: 'authentication',
    username: 'jeff',
    policy: undefined,
    transaction: [{ contentType: 'text/plain', content }],
  })
  const answer = answerAuthentication(request, { mode: 2, transactionHash: hashOf(content) })
  expect(await parts.responses.take('authentication', answer, undefined)).toMatchObject({ outcome: 'succeeded' })
})

test('U11 to U13: leaves the session as it is for a response that does not concern it', async () => {
  await using parts = await start()
  const { responses, clock } = parts
  const request = await parts.askToRegister()
  const answer = answerRegistration(request)
  const take = (serverData: string, operation: AnsweredOperation = 'registration') =>
    responses.take(operation, { ...answer, header: { ...answer.header, serverData } }, undefined)
  const { serverData } = request.header
  expect(await take('unknown')).toEqual({ outcome: 'unknown' })
  expect(await take(`${serverData.slice(0, -2)}AA`)).toEqual({ outcome: 'unknown' })
  expect(await take(serverData, 'authentication')).toMatchObject({ outcome: 'misdirected' })
  clock.advance(LIFETIME_MS)
  expect(await take(serverData)).toMatchObject({ outcome: 'late' })
  clock.advance(-1)
  expect(await take(serverData)).toMatchObject({ outcome: 'succeeded' })
})

test('U12: rejects a response to a revoked session, also one revoked with its user', async () => {
  await using parts = await start()
  const one = await parts.askToRegister()
  await parts.tokens.revoke(one.token)
  expect(await parts.responses.take('registration', answerRegistration(one), undefined)).toMatchObject({
    outcome: 'ended',
  })
  const other = await parts.askToRegister()
  await parts.revocations.revokeIssued('user jeff')
  expect(await parts.responses.take('registration', answerRegistration(other), undefined)).toMatchObject({
    outcome: 'ended',
  })
})

test('U8: settles a failed session with the code that was told', async () => {
  await using parts = await start()
  const request = await parts.askToRegister()
  const answer = answerRegistration(request, { signer: createAuthenticatorKey().privateKey })
  const failed = await parts.responses.take('registration', answer, 5)
  expect(failed).toMatchObject({ outcome: 'failed', failure: 'bad_attestation' })
  expect((await parts.tokens.find(request.token))?.outcome).toMatchObject({ statusCode: 1496, asmStatusCode: 5 })
  expect(await parts.responses.take('registration', answerRegistration(request), 0)).toMatchObject({ outcome: 'ended' })
})

test('U31, U34: verifies again where another response has changed the key', async () => {
  await using parts = await start()
  await parts.responses.take('registration', answerRegistration(await parts.askToRegister()), undefined)
  const [first, second] = [await parts.askToAuthenticate(), await parts.askToAuthenticate()]
  const { tokens } = parts.stores
  let calls = 0
  const racing = parts.createResponses({
    ...tokens,
    async settle(...given) {
      calls += 1
      // Another instance takes a later response between the verification and the step.
      if (calls === 1) await parts.responses.take('authentication', answerAuthentication(first, { counter: 9 }), 0)
      return tokens.settle(...given)
    },
  })
  const result = await racing.take('authentication', answerAuthentication(second, { counter: 8 }), undefined)
  expect(result).toMatchObject({ outcome: 'failed', failure: 'counter_not_greater' })
  expect(await parts.stores.credentials.findByUser('jeff')).toMatchObject([{ signCounter: 9 }])
})

test('U34: answers a response that lost the race, and gives up where keys keep changing', async () => {
  await using parts = await start()
  const { tokens } = parts.stores
  const lost = parts.createResponses({ ...tokens, settle: async () => 'ended' })
  const request = await parts.askToRegister()
  const broken = answerRegistration(request, { mode: 2 })
  expect(await lost.take('registration', broken, undefined)).toMatchObject({ outcome: 'ended' })
  expect(await lost.take('registration', answerRegistration(request), undefined)).toMatchObject({ outcome: 'ended' })
  const changing = parts.createResponses({ ...tokens, settle: async () => 'conflict' })
  await expect(changing.take('registration', answerRegistration(request), undefined)).rejects.toThrow(
    'changed 10 times',
  )
})

test('U38: fails a session whose user would have too many keys', async () => {
  await using parts = await start()
  const { tokens, credentials } = parts.stores
  const full = parts.createResponses({
    ...tokens,
    settle: async (digest, settlement, now) =>
      settlement.registrations.length > 0 ? 'full' : tokens.settle(digest, settlement, now),
  })
  const request = await parts.askToRegister()
  const result = await full.take('registration', answerRegistration(request), undefined)
  expect(result).toMatchObject({ outcome: 'failed', failure: 'too_many_keys' })
  expect((await parts.tokens.find(request.token))?.outcome).toMatchObject({ statusCode: 1403 })
  expect(await credentials.findByUser('jeff')).toEqual([])
})
