import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { bodyFor, codeOf, create, createToken, OPEN, redeem } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import { AAID, attempt, createPhone, createRegisteredPhone, startSession, statusOf } from '../../../support/uaf.ts'
import { uafRequestText } from '../../../support/uaf-schema.ts'

const OTHER_AAID = 'FFFF#0002'
const any = { authenticationAlgorithms: [1], assertionSchemes: ['UAFV1TLV'] }
const policies = {
  several: { accepted: [[{ aaid: [AAID] }, { aaid: [OTHER_AAID] }]] },
  either: { accepted: [[any], [{ aaid: [OTHER_AAID] }]] },
  other: { accepted: [[{ aaid: [OTHER_AAID] }]] },
  guarded: { accepted: [[any]], disallowed: [{ aaid: ['EEEE#0001'] }] },
}
const clock = createFrozenClock()
const service = await startService({ clock, configuration: { nevisfido: { ...OPEN, policies } } })
afterAll(() => service.close())

// A user for each test: keys stay.
let username = ''
let count = 0
beforeEach(() => {
  username = `user-${count++}`
})

const requestOf = async (
  operation: 'registration' | 'authentication' | 'deregistration',
  context: object = { username },
) => {
  const { uafRequest } = await startSession(service, operation, context)
  const [request] = uafRequestText.parse(uafRequest)
  return JSON.parse(JSON.stringify(request))
}

describe('a registration request', () => {
  test('U5: has the policy as configured for a user without keys', async () => {
    expect((await requestOf('registration', { username, policy: 'guarded' })).policy).toEqual(policies.guarded)
  })

  test('U5: adds the keys of the user to disallowed, one entry for each AAID', async () => {
    const phone = await createRegisteredPhone(service, {}, username)
    await attempt(service, phone, 'registration', {}, { username })
    const other = createPhone(service, { aaid: OTHER_AAID })
    await attempt(service, other, 'registration', {}, { username, policy: 'either' })
    await createRegisteredPhone(service, {}, `another-${username}`)
    const { policy } = await requestOf('registration', { username, policy: 'guarded' })
    expect(policy.accepted).toEqual(policies.guarded.accepted)
    const sorted = policy.disallowed.map((entry: { keyIDs?: string[] }) => ({
      ...entry,
      keyIDs: entry.keyIDs?.toSorted(),
    }))
    expect(sorted).toEqual(
      expect.arrayContaining([
        { aaid: ['EEEE#0001'], keyIDs: undefined },
        { aaid: [AAID], keyIDs: phone.keys.map(({ keyId }) => keyId).toSorted() },
        { aaid: [OTHER_AAID], keyIDs: other.keys.map(({ keyId }) => keyId) },
      ]),
    )
    expect(sorted).toHaveLength(3)
  })

  test('U5: is made at redemption: names a key that was registered after the token was created', async () => {
    const { token } = await createToken(service, 'registration', { body: bodyFor('registration', { username }) })
    const phone = await createRegisteredPhone(service, {}, username)
    const { uafRequest } = JSON.parse((await redeem(service, 'registration', token)).body)
    expect(JSON.parse(uafRequest)[0].policy.disallowed).toEqual([{ aaid: [AAID], keyIDs: [phone.keys[0]?.keyId] }])
  })
})

describe('an authentication request', () => {
  test('U5: accepts each key of the user that the policy accepts, in a set of its own', async () => {
    const phone = await createRegisteredPhone(service, {}, username)
    await attempt(service, phone, 'registration', {}, { username })
    await createRegisteredPhone(service, {}, `another-${username}`)
    const { policy } = await requestOf('authentication')
    expect(policy.accepted).toHaveLength(2)
    expect(policy.accepted).toEqual(
      expect.arrayContaining(phone.keys.map(({ keyId }) => [{ aaid: [AAID], keyIDs: [keyId] }])),
    )
  })

  test('U5: leaves out a key that the policy does not accept', async () => {
    const phone = await createRegisteredPhone(service, {}, username)
    const other = createPhone(service, { aaid: OTHER_AAID })
    expect((await attempt(service, other, 'registration', {}, { username })).code).toBe(1200)
    const { policy } = await requestOf('authentication', { username, policy: 'other' })
    expect(policy.accepted).toEqual([[{ aaid: [OTHER_AAID], keyIDs: [other.keys[0]?.keyId] }]])
    expect(phone.keys).toHaveLength(1)
  })

  test.each([
    { title: 'no user is named', policy: 'guarded', name: false, hasKey: true },
    { title: 'the user has no key', policy: 'guarded', name: true, hasKey: false },
    { title: 'the policy accepts no key of the user', policy: 'other', name: true, hasKey: true },
    { title: 'a set of the policy has several members', policy: 'several', name: true, hasKey: true },
  ] as const)('U5: has the policy as configured where $title', async ({ policy, name, hasKey }) => {
    if (hasKey) await createRegisteredPhone(service, {}, username)
    const request = await requestOf('authentication', { policy, ...(name ? { username } : {}) })
    expect(request.policy).toEqual(policies[policy])
  })
})

describe('a deregistration request', () => {
  const ALL = [{ aaid: '', keyID: '' }]
  const name = ({ aaid, keyId }: { aaid: string; keyId: string }) => ({ aaid, keyID: keyId })

  async function createUserWithThreeKeys() {
    const phone = await createRegisteredPhone(service, {}, username)
    await attempt(service, phone, 'registration', {}, { username })
    const other = createPhone(service, { aaid: OTHER_AAID })
    await attempt(service, other, 'registration', {}, { username })
    return { phone, other }
  }

  /** The keys that the user can still authenticate with. */
  async function remainingKeys() {
    const { policy } = await requestOf('authentication')
    return policy.accepted.flat().flatMap(({ keyIDs = [] }: { keyIDs?: string[] }) => keyIDs)
  }

  test.each([{}, { mode: 'username' }])('U6: lists and deletes every key of the user for %j', async (mode) => {
    const { phone, other } = await createUserWithThreeKeys()
    const { authenticators } = await requestOf('deregistration', { username, ...mode })
    expect(authenticators).toHaveLength(3)
    expect(authenticators).toEqual(expect.arrayContaining([...phone.keys, ...other.keys].map(name)))
    expect(await remainingKeys()).toEqual([])
  })

  test('U6: lists and deletes the keys of the named AAIDs', async () => {
    const { phone, other } = await createUserWithThreeKeys()
    const { authenticators } = await requestOf('deregistration', {
      username,
      mode: 'aaid',
      aaids: [OTHER_AAID, 'EEEE#0009'],
    })
    expect(authenticators).toEqual(other.keys.map(name))
    expect((await remainingKeys()).toSorted()).toEqual(phone.keys.map(({ keyId }) => keyId).toSorted())
  })

  test('U6: lists and deletes the named keys, and none of another user', async () => {
    const { phone } = await createUserWithThreeKeys()
    const foreign = await createRegisteredPhone(service, {}, `another-${username}`)
    const named = [...phone.keys.slice(0, 1), ...foreign.keys].map(name)
    const { authenticators } = await requestOf('deregistration', { username, mode: 'key', authenticators: named })
    expect(authenticators).toEqual(named.slice(0, 1))
    expect(await remainingKeys()).toHaveLength(2)
    const context = { username: `another-${username}` }
    expect((await attempt(service, foreign, 'authentication', {}, context)).code).toBe(1200)
  })

  test.each([
    { title: 'the user has no key', registered: false, context: {} },
    { title: 'no key has a named AAID', registered: true, context: { mode: 'aaid', aaids: [OTHER_AAID] } },
    {
      title: 'no named key is registered',
      registered: true,
      context: { mode: 'key', authenticators: [{ aaid: AAID, keyID: Buffer.alloc(32).toString('base64url') }] },
    },
  ])('U6: sends an empty pair and succeeds where $title', async ({ registered, context }) => {
    if (registered) await createRegisteredPhone(service, {}, username)
    const { sessionId, uafRequest } = await startSession(service, 'deregistration', { username, ...context })
    expect(JSON.parse(uafRequest)[0].authenticators).toEqual(ALL)
    expect(await statusOf(service, sessionId)).toMatchObject({ status: 'succeeded', uafStatusCode: 1200 })
    expect(await remainingKeys()).toHaveLength(registered ? 1 : 0)
  })

  test('U6: deletes with the redemption, not with the creation', async () => {
    await createRegisteredPhone(service, {}, username)
    const { token } = await createToken(service, 'deregistration', { body: bodyFor('deregistration', { username }) })
    expect(await remainingKeys()).toHaveLength(1)
    await redeem(service, 'deregistration', token)
    expect(await remainingKeys()).toEqual([])
  })

  test.each([
    { mode: 'all' },
    { mode: 1 },
    { mode: 'aaid' },
    { mode: 'aaid', aaids: AAID },
    { mode: 'key' },
    { mode: 'key', authenticators: [{ aaid: AAID }] },
  ])('U6: returns 1498 to the creation for %j', async (context) => {
    const body = bodyFor('deregistration', { username, ...context })
    expect(codeOf(await create(service, 'deregistration', { body }))).toBe(1498)
  })
})
