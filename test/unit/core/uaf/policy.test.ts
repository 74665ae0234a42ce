import { describe, expect, test } from 'vitest'
import { type MetadataStatement, userVerificationOf } from '../../../../src/core/uaf/metadata.ts'
import { type Authenticator, fillsSet, isTaken, type MatchCriteria } from '../../../../src/core/uaf/policy.ts'

const statement: MetadataStatement = {
  aaid: 'F1D0#0001',
  authenticationAlgorithm: 1,
  attestationTypes: [15880],
  userVerificationDetails: [[{ userVerification: 2 }]],
  keyProtection: 6,
  matcherProtection: 2,
  attachmentHint: 1,
  tcDisplay: 3,
  roots: [],
}

function describeKey(changes: Partial<Authenticator> = {}): Authenticator {
  return {
    aaid: 'F1D0#0001',
    keyId: 'key',
    authenticatorVersion: 3,
    algorithms: [1, 2],
    attestationTypes: [15880],
    statement,
    ...changes,
  }
}

const bare = describeKey({ statement: undefined, attestationTypes: undefined })

describe('U22', () => {
  test.each<[MatchCriteria, MatchCriteria]>([
    [{ aaid: ['0000#0000', 'f1d0#0001'] }, { aaid: ['F1D0#0002'] }],
    [{ vendorID: ['f1d0'] }, { vendorID: ['F1D1'] }],
    [{ keyIDs: ['other', 'key'] }, { keyIDs: ['KEY'] }],
    [{ authenticationAlgorithms: [2] }, { authenticationAlgorithms: [3, 4] }],
    [{ assertionSchemes: ['other', 'UAFV1TLV'] }, { assertionSchemes: ['uafv1tlv'] }],
    [{ attestationTypes: [15879, 15880] }, { attestationTypes: [15879] }],
    [{ authenticatorVersion: 3 }, { authenticatorVersion: 4 }],
    [{ userVerification: 3 }, { userVerification: 4 }],
    [{ keyProtection: 2 }, { keyProtection: 1 }],
    [{ matcherProtection: 3 }, { matcherProtection: 4 }],
    [{ attachmentHint: 1 }, { attachmentHint: 2 }],
    [{ tcDisplay: 1 }, { tcDisplay: 4 }],
    [{}, { aaid: [] }],
    [
      { aaid: ['F1D0#0001'], keyIDs: ['key'] },
      { aaid: ['F1D0#0001'], keyIDs: ['other'] },
    ],
  ])('U22: matches %j and not %j', (matching, other) => {
    expect(isTaken(describeKey(), { accepted: [[matching]] })).toBe(true)
    expect(isTaken(describeKey(), { accepted: [[other]] })).toBe(false)
    expect(isTaken(describeKey(), { accepted: [[{}]], disallowed: [other, matching] })).toBe(false)
    expect(isTaken(describeKey(), { accepted: [[{}]], disallowed: [other] })).toBe(true)
    expect(isTaken(describeKey(), { accepted: [[other], [other, matching]] })).toBe(true)
  })

  test.each<MatchCriteria>([
    { userVerification: 2 },
    { keyProtection: 2 },
    { matcherProtection: 2 },
    { attachmentHint: 1 },
    { tcDisplay: 1 },
    { attestationTypes: [15880] },
  ])('U22: without a statement, accepts %j and does not disallow it', (criteria) => {
    expect(isTaken(bare, { accepted: [[criteria]] })).toBe(true)
    expect(isTaken(bare, { accepted: [[{}]], disallowed: [criteria] })).toBe(true)
  })

  test.each([
    [[[1], [2]], 3],
    [[[1, 2]], 0x403],
    [[[4]], 4],
    [[[1, 2], [4]], undefined],
    [[], 0],
  ] as const)('U22: derives the flags of user verification %j: %s', (details, flags) => {
    const userVerificationDetails = details.map((methods) => methods.map((userVerification) => ({ userVerification })))
    expect(userVerificationOf({ userVerificationDetails })).toBe(flags)
  })

  test.each([
    [[[1], [2]], 2, true],
    [[[1], [2]], 0x402, false],
    [[[1, 2]], 0x403, true],
    [[[1, 2]], 3, false],
    [[[1, 2]], 0x401, false],
    [[[1, 2], [4]], 4, false],
  ] as const)('U22: matches the user verification %j with %i: %s', (details, wanted, matches) => {
    const userVerificationDetails = details.map((methods) => methods.map((userVerification) => ({ userVerification })))
    const key = describeKey({ statement: { ...statement, userVerificationDetails } })
    expect(isTaken(key, { accepted: [[{ userVerification: wanted }]] })).toBe(matches)
  })
})

describe('U28', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((keyId) => describeKey({ keyId })) as [
    Authenticator,
    Authenticator,
    Authenticator,
  ]
  const of = (...keyIDs: string[]): MatchCriteria => ({ keyIDs })

  test.each<[MatchCriteria[][], Authenticator[], boolean]>([
    [[[of('a')]], [a], true],
    [[[of('b')]], [a], false],
    [[[of('a'), of('b')]], [a], false],
    [[[of('a'), of('b')]], [b, a], true],
    [[[of('a', 'b'), of('a')]], [a, b], true],
    [[[of('a', 'b'), of('a', 'b'), of('a', 'c')]], [a, b, c], true],
    [[[of('a', 'b'), of('a', 'b'), of('a', 'b')]], [a, b, c], false],
    [[[{}, {}]], [a], false],
    [[[of('c')], [of('a')]], [a], true],
  ])('U28: fills %j by other authenticators: case %#', (accepted, authenticators, isFilled) => {
    expect(fillsSet(authenticators, { accepted })).toBe(isFilled)
  })
})
