import { afterAll, describe, expect, test } from 'vitest'
import type { AuthenticatorOptions } from '../../../../src/development/authenticator/authenticator.ts'
import { type Nevisfido, OPEN } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import { attempt, createPhone, createRegisteredPhone } from '../../../support/uaf.ts'
import { ATTESTATION_TYPE, createStatement } from '../../../support/uaf-metadata.ts'

/** A model without a statement, and one with. */
const UNKNOWN = 'AAAA#0001'
const KNOWN = 'BBBB#0002'

/** Flags of the FIDO registry of predefined values 1.1, section 3. */
const VERIFY = { PRESENCE: 0x01, FINGERPRINT: 0x02, PASSCODE: 0x04, ALL: 0x400 }

const statements = [
  createStatement({
    aaid: KNOWN,
    userVerificationDetails: [[{ userVerification: VERIFY.FINGERPRINT }], [{ userVerification: VERIFY.PASSCODE }]],
    keyProtection: 0x6,
    matcherProtection: 0x2,
    attachmentHint: 0x1,
    tcDisplay: 0x3,
  }),
]

type Policies = NonNullable<Nevisfido['policies']>
type Criteria = Policies[string]['accepted'][number][number]
const any: Criteria = { authenticationAlgorithms: [1, 2, 3, 4, 5, 6, 8, 9], assertionSchemes: ['UAFV1TLV'] }

interface Case {
  readonly criteria: Criteria
  /** Whether the model without and the one with a statement match. */
  readonly unknown: boolean
  readonly known: boolean
}

const MEMBERS: readonly Case[] = [
  { criteria: { aaid: [KNOWN] }, unknown: false, known: true },
  { criteria: { aaid: [UNKNOWN, 'CCCC#0003'] }, unknown: true, known: false },
  { criteria: { vendorID: ['BBBB'] }, unknown: false, known: true },
  { criteria: { vendorID: ['CCCC', 'AAAA'] }, unknown: true, known: false },
  { criteria: { keyIDs: [Buffer.alloc(32).toString('base64url')] }, unknown: false, known: false },
  { criteria: { ...any, authenticationAlgorithms: [1] }, unknown: true, known: true },
  { criteria: { ...any, authenticationAlgorithms: [2, 3] }, unknown: false, known: false },
  { criteria: { ...any, assertionSchemes: ['UAFV1TLV', 'X'] }, unknown: true, known: true },
  { criteria: { ...any, assertionSchemes: ['X'] }, unknown: false, known: false },
  { criteria: { ...any, attestationTypes: [ATTESTATION_TYPE.SURROGATE] }, unknown: true, known: true },
  { criteria: { ...any, attestationTypes: [ATTESTATION_TYPE.FULL] }, unknown: false, known: false },
  { criteria: { ...any, authenticatorVersion: 3 }, unknown: true, known: true },
  { criteria: { ...any, authenticatorVersion: 4 }, unknown: false, known: false },
]

const FLAGS: readonly Case[] = [
  { criteria: { ...any, userVerification: VERIFY.FINGERPRINT }, unknown: true, known: true },
  { criteria: { ...any, userVerification: VERIFY.PASSCODE | VERIFY.PRESENCE }, unknown: true, known: true },
  { criteria: { ...any, userVerification: VERIFY.PRESENCE }, unknown: true, known: false },
  {
    criteria: { ...any, userVerification: VERIFY.ALL | VERIFY.FINGERPRINT | VERIFY.PASSCODE },
    unknown: true,
    known: false,
  },
  { criteria: { ...any, keyProtection: 0x2 }, unknown: true, known: true },
  { criteria: { ...any, keyProtection: 0x1 }, unknown: true, known: false },
  { criteria: { ...any, matcherProtection: 0x2 }, unknown: true, known: true },
  { criteria: { ...any, matcherProtection: 0x4 }, unknown: true, known: false },
  { criteria: { ...any, attachmentHint: 0x1 }, unknown: true, known: true },
  { criteria: { ...any, attachmentHint: 0x2 }, unknown: true, known: false },
  { criteria: { ...any, tcDisplay: 0x2 }, unknown: true, known: true },
  { criteria: { ...any, tcDisplay: 0x4 }, unknown: true, known: false },
]

const cases = [
  ...MEMBERS.map((entry) => ({ ...entry, flags: false })),
  ...FLAGS.map((entry) => ({ ...entry, flags: true })),
]

/** One policy for each case that accepts what the criteria match, and one that disallows it. */
const policies: Policies = Object.fromEntries(
  cases.flatMap(({ criteria }, index) => [
    [`accepted-${index}`, { accepted: [[criteria]] }],
    [`disallowed-${index}`, { accepted: [[any]], disallowed: [criteria] }],
  ]),
)
const service = await startService({
  clock: createFrozenClock(),
  configuration: {
    nevisfido: {
      ...OPEN,
      metadata: statements,
      policies: {
        ...policies,
        alternatives: { accepted: [[{ aaid: ['CCCC#0003'] }], [{ aaid: [KNOWN] }]] },
        open: { accepted: [[any]] },
      },
    },
  },
})
afterAll(() => service.close())

let count = 0
async function register(policy: string, options: Partial<AuthenticatorOptions>): Promise<number> {
  const phone = createPhone(service, { authenticatorVersion: 3, ...options })
  return (await attempt(service, phone, 'registration', {}, { username: `user-${count++}`, policy })).code
}

describe('a registration', () => {
  const matches = cases.flatMap((entry, index) =>
    [
      { aaid: UNKNOWN, isMatch: entry.unknown },
      { aaid: KNOWN, isMatch: entry.known },
    ].map((model) => ({ ...entry, ...model, index, text: JSON.stringify(entry.criteria) })),
  )

  test.each(matches)('U22: match of $aaid with accepted $text: $isMatch', async ({ aaid, isMatch, index }) => {
    expect(await register(`accepted-${index}`, { aaid })).toBe(isMatch ? 1200 : 1492)
  })

  test.each(matches)(
    'U22: match of $aaid with disallowed $text: $isMatch, but no flag without a statement',
    async ({ aaid, isMatch, flags, index }) => {
      const isDisallowed = isMatch && !(flags && aaid === UNKNOWN)
      expect(await register(`disallowed-${index}`, { aaid })).toBe(isDisallowed ? 1492 : 1200)
    },
  )

  test('U22: accepts a model that any of the alternatives names', async () => {
    expect(await register('alternatives', { aaid: KNOWN })).toBe(1200)
    expect(await register('alternatives', { aaid: UNKNOWN })).toBe(1492)
  })
})

describe('an authentication', () => {
  test.each([
    { title: 'the policy accepts', policy: 'open', code: 1200 },
    { title: 'no set of the policy accepts', policy: 'accepted-0', code: 1492 },
    { title: 'the policy disallows', policy: 'disallowed-1', code: 1492 },
  ])('U22: returns $code for a key that $title', async ({ policy, code }) => {
    const username = `user-${count++}`
    const phone = await createRegisteredPhone(service, { aaid: UNKNOWN }, username)
    const open = await attempt(service, phone, 'authentication', {}, { username })
    expect(open.code).toBe(1200)
    // A phone that ignores the request's policy.
    const ignorant = { ...phone, answer: (text: string) => phone.answer(withoutPolicy(text)) }
    expect((await attempt(service, ignorant, 'authentication', {}, { username, policy })).code).toBe(code)
  })

  function withoutPolicy(uafRequest: string): string {
    const [request] = JSON.parse(uafRequest)
    return JSON.stringify([{ ...request, policy: { accepted: [[{}]] } }])
  }
})
