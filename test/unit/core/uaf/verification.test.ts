import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Credential } from '../../../../src/core/ports/credential-store.ts'
import { TAG } from '../../../../src/core/uaf/assertion/tags.ts'
import { openAuthentication, verifyAuthentication } from '../../../../src/core/uaf/authentication.ts'
import { UafError, type UafFailure } from '../../../../src/core/uaf/failure.ts'
import { exportPublicKey } from '../../../../src/core/uaf/keys/public-key.ts'
import { createMetadata, findStatement, type MetadataStatement } from '../../../../src/core/uaf/metadata.ts'
import type { Policy } from '../../../../src/core/uaf/policy.ts'
import {
  openRegistration,
  type RegistrationContext,
  verifyRegistration,
} from '../../../../src/core/uaf/registration.ts'
import type { UafRules } from '../../../../src/core/uaf/verdict.ts'
import {
  AAID,
  APP_ID,
  buildAuthentication,
  buildRegistration,
  buildResponse,
  CHALLENGE,
  createAuthenticatorKey,
  encodeFcParams,
  FACET,
  hashOf,
  KEY_ID,
  rawPoint,
  tlv,
} from '../../../support/uaf/assertions.ts'
import {
  ED25519_LEAF,
  INTERMEDIATE,
  LARGE_EXPONENT_KEY,
  LARGE_EXPONENT_LEAF,
  LEAF,
  PLAIN_LEAF,
  ROOT,
} from '../../../support/uaf/certificates.ts'

const NOW = Date.UTC(2030, 0, 1)
const ANY: Policy = { accepted: [[{}]] }
const key = createAuthenticatorKey(1)
const other = createAuthenticatorKey(1)
const rsa = createAuthenticatorKey(3)

const statement: MetadataStatement = {
  aaid: AAID,
  authenticationAlgorithm: 1,
  attestationTypes: [TAG.BASIC_FULL],
  userVerificationDetails: [[{ userVerification: 2 }]],
  keyProtection: 6,
  matcherProtection: 2,
  attachmentHint: 1,
  tcDisplay: 3,
  roots: [new X509Certificate(Buffer.from(ROOT, 'base64'))],
}
const surrogateStatement = { ...statement, attestationTypes: [TAG.BASIC_SURROGATE], roots: [] }

function rulesOf(statements: MetadataStatement[], attestation: UafRules['attestation'] = 'surrogate'): UafRules {
  const metadata = createMetadata(statements)
  return {
    appId: APP_ID,
    facets: new Set([FACET]),
    findStatement: (aaid) => findStatement(metadata, aaid),
    attestation,
  }
}
const free = rulesOf([])
const expected = { appId: APP_ID, challenge: CHALLENGE, facets: free.facets }

function failureOf(step: () => unknown): UafFailure | undefined {
  try {
    step()
    return undefined
  } catch (error) {
    if (error instanceof UafError) return error.failure
    throw error
  }
}

function register(assertions: readonly Uint8Array[], context: Partial<RegistrationContext> = {}) {
  const opened = openRegistration(buildResponse({ op: 'Reg', assertions }), expected)
  return verifyRegistration(opened, {
    rules: free,
    policy: ANY,
    username: 'jeff',
    registered: [],
    now: NOW,
    ...context,
  })
}

const CHAIN = [LEAF, INTERMEDIATE]

function credentialOf(changes: Partial<Credential> = {}): Credential {
  return {
    aaid: AAID,
    keyId: KEY_ID.toString('base64url'),
    username: 'jeff',
    publicKey: exportPublicKey(key.publicKey),
    algorithm: 1,
    signCounter: 1,
    authenticatorVersion: 1,
    registeredAt: 0,
    lastUsedAt: undefined,
    ...changes,
  }
}

test.each([
  [4096, undefined],
  [4097, 'bad_assertion'],
])('U17: an assertion of %i bytes gives %s', (length, failure) => {
  const missing = length - buildRegistration({ key: rsa }).length - tlv(0x0e99).length
  const assertion = buildRegistration({ key: rsa, more: tlv(0x0e99, Buffer.alloc(missing)) })
  expect(assertion).toHaveLength(length)
  expect(failureOf(() => register([assertion]))).toBe(failure)
})

describe('a response', () => {
  const response = buildResponse({ op: 'Reg', assertions: [buildRegistration({ key })] })
  const open = (changes: object, header: object = {}) =>
    openRegistration({ ...response, ...changes, header: { ...response.header, ...header } }, expected)

  test.each<[UafFailure, object, object?]>([
    ['bad_response_header', {}, { upv: { major: 1, minor: 0 } }],
    ['bad_response_header', {}, { upv: { major: 2, minor: 1 } }],
    ['bad_response_header', {}, { appID: 'https://other.example.com' }],
    ['bad_response_header', {}, { exts: [{ fail_if_unknown: true }] }],
    ['unknown_facet', { fcParams: encodeFcParams({ facetID: 'https://other.example.com' }) }],
    ['no_assertion', { assertions: [] }],
    ['bad_assertion', { assertions: [...response.assertions, ...response.assertions] }],
  ])('U14 to U16, U28: fails with %s as a whole: case %#', (failure, changes, header) => {
    expect(failureOf(() => open(changes, header))).toBe(failure)
  })

  test('U28: a critical tag in one assertion fails the whole response', () => {
    const critical = buildRegistration({ key, keyId: Buffer.alloc(32, 2), more: tlv(TAG.EXTENSION_CRITICAL) })
    expect(failureOf(() => register([buildRegistration({ key }), critical]))).toBe('bad_assertion')
  })

  test.each<[string, object]>([
    ['another scheme', { assertionScheme: 'UAFV2' }],
    ['an extension that must be understood', { exts: [{ fail_if_unknown: true }] }],
    ['padding', { assertion: 'AA==' }],
    ['no bytes', { assertion: '' }],
    ['4097 bytes', { assertion: tlv(0x0e01, Buffer.alloc(4093)).toString('base64url') }],
  ])('U17, U28: fails an assertion alone for %s', (_, changes) => {
    const [good] = response.assertions
    const { assertions } = open({ assertions: [{ ...good, ...changes }, good] })
    expect(assertions).toMatchObject([{ failure: 'bad_assertion' }, { assertion: { aaid: AAID } }])
  })
})

describe('a registration', () => {
  test.each([1, 2, 3, 4, 5, 6, 8, 9])(
    'U20, U24, U27: returns a key that attests itself with algorithm %i',
    (algorithm) => {
      const own = createAuthenticatorKey(algorithm)
      expect(register([buildRegistration({ key: own, counter: 7 })])).toEqual([
        {
          aaid: AAID,
          keyId: KEY_ID.toString('base64url'),
          publicKey: exportPublicKey(own.publicKey),
          algorithm,
          signCounter: 7,
          authenticatorVersion: 1,
        },
      ])
    },
  )

  test('U21: returns a key from a raw point', () => {
    const [registered] = register([buildRegistration({ key, keyFormat: 0x100, publicKey: rawPoint(key.publicKey) })])
    expect(registered?.publicKey).toBe(exportPublicKey(key.publicKey))
  })

  test('U24: returns a key that its vendor attests; its algorithm is known with a statement alone', () => {
    const assertion = buildRegistration({ key: rsa, certificates: CHAIN })
    expect(register([assertion])).toMatchObject([{ algorithm: undefined }])
    expect(
      register([buildRegistration({ key, certificates: CHAIN })], { rules: rulesOf([statement], 'basic') }),
    ).toMatchObject([{ algorithm: 1 }])
  })

  const basic = rulesOf([statement], 'basic')
  test.each<[string, UafFailure, Uint8Array, Partial<RegistrationContext>]>([
    [
      'an unknown AAID with basic attestation',
      'unknown_authenticator',
      buildRegistration({ key, aaid: '0000#0001' }),
      { rules: basic },
    ],
    ['an unknown algorithm', 'algorithm_rejected', buildRegistration({ key: { ...key, algorithm: 7 } }), {}],
    ['an algorithm of another curve', 'algorithm_rejected', buildRegistration({ key, algorithm: 5 }), {}],
    ['an algorithm of RSA', 'algorithm_rejected', buildRegistration({ key, algorithm: 3, signer: rsa.privateKey }), {}],
    [
      'another algorithm than the statement',
      'algorithm_rejected',
      buildRegistration({ key: createAuthenticatorKey(2) }),
      { rules: rulesOf([surrogateStatement]) },
    ],
    [
      'an algorithm that does not fit the certificate',
      'algorithm_rejected',
      buildRegistration({ key, certificates: [ED25519_LEAF] }),
      {},
    ],
    ['an unknown key format', 'key_rejected', buildRegistration({ key, keyFormat: 0x104 }), {}],
    ['a key that cannot be imported', 'key_rejected', buildRegistration({ key, publicKey: Buffer.from('x') }), {}],
    [
      'a key outside the policy',
      'policy_mismatch',
      buildRegistration({ key }),
      { policy: { accepted: [[{ aaid: ['0000#0000'] }]] } },
    ],
    ['a key that its user has', 'policy_mismatch', buildRegistration({ key }), { registered: [credentialOf()] }],
    ['another final challenge', 'wrong_challenge_hash', buildRegistration({ key, fcParams: 'x' }), {}],
    ['a signature of another key', 'bad_attestation', buildRegistration({ key, signer: other.privateKey }), {}],
    [
      'a surrogate where the statement has roots',
      'bad_attestation',
      buildRegistration({ key }),
      { rules: rulesOf([statement]) },
    ],
    [
      'certificates where the statement has no roots',
      'bad_attestation',
      buildRegistration({ key, certificates: CHAIN }),
      { rules: rulesOf([surrogateStatement]) },
    ],
    [
      'a surrogate with basic attestation',
      'bad_attestation',
      buildRegistration({ key }),
      { rules: rulesOf([surrogateStatement], 'basic') },
    ],
    [
      'another signer than the certificate',
      'bad_attestation',
      buildRegistration({ key, certificates: CHAIN, signer: key.privateKey }),
      {},
    ],
    [
      'a chain under another root',
      'bad_attestation',
      buildRegistration({ key, certificates: [LEAF] }),
      { rules: basic },
    ],
    [
      'a certificate of another AAID',
      'bad_attestation',
      buildRegistration({ key, aaid: 'F1D0#0002', certificates: CHAIN }),
      {},
    ],
    [
      'a certificate that cannot be parsed',
      'bad_attestation',
      buildRegistration({ key, certificates: [PLAIN_LEAF, 'AAAA'] }),
      {},
    ],
    [
      'a certificate whose key takes long to verify with',
      'bad_attestation',
      buildRegistration({
        key,
        algorithm: 8,
        certificates: [LARGE_EXPONENT_LEAF],
        signer: LARGE_EXPONENT_KEY,
      }),
      {},
    ],
    [
      'a key of another user',
      'key_rejected',
      buildRegistration({ key }),
      { registered: [credentialOf({ username: 'eve' })] },
    ],
  ])('U20 to U27: rejects %s: %s', (_, failure, assertion, context) => {
    expect(failureOf(() => register([assertion], context))).toBe(failure)
  })

  test('U24: rejects ECDAA', () => {
    const assertion = buildRegistration({ key })
    const krdBytes = assertion.subarray(4, 8 + assertion.readUInt16LE(6))
    const ecdaa = tlv(TAG.REG_ASSERTION, krdBytes, tlv(TAG.ECDAA))
    expect(failureOf(() => register([ecdaa]))).toBe('bad_attestation')
  })

  test('U28: keeps the keys that hold, where they fill a set; otherwise the first failure tells', () => {
    const second = buildRegistration({ key: other, keyId: Buffer.alloc(32, 2) })
    const broken = buildRegistration({ key, signer: other.privateKey })
    expect(register([broken, second])).toHaveLength(1)
    expect(register([buildRegistration({ key }), second])).toHaveLength(2)
    const two: Policy = { accepted: [[{}, {}]] }
    expect(failureOf(() => register([broken, second], { policy: two }))).toBe('bad_attestation')
    expect(failureOf(() => register([second], { policy: two }))).toBe('policy_mismatch')
    expect(failureOf(() => register([Buffer.from('x'), broken]))).toBe('bad_assertion')
  })
})

describe('an authentication', () => {
  type Context = Parameters<typeof verifyAuthentication>[1]
  function authenticate(assertions: readonly Uint8Array[], context: Partial<Context> = {}) {
    const opened = openAuthentication(buildResponse({ op: 'Auth', assertions }), expected)
    return verifyAuthentication(opened, {
      rules: free,
      policy: ANY,
      username: 'jeff',
      isKnownUser: () => true,
      transactionHashes: [],
      registered: [credentialOf()],
      ...context,
    })
  }

  test.each([1, 2, 3, 4, 5, 6, 8, 9])('U30: accepts a signature of algorithm %i', (algorithm) => {
    const own = createAuthenticatorKey(algorithm)
    const registered = [credentialOf({ publicKey: exportPublicKey(own.publicKey), algorithm })]
    expect(authenticate([buildAuthentication({ key: own })], { registered })).toEqual({
      username: 'jeff',
      uses: [{ credential: registered[0], algorithm, signCounter: 2 }],
    })
    const unknown = [credentialOf({ publicKey: exportPublicKey(own.publicKey), algorithm: undefined })]
    expect(authenticate([buildAuthentication({ key: own })], { registered: unknown }).uses[0]?.algorithm).toBe(
      algorithm,
    )
  })

  // Both algorithms of P-256 fit the key.
  test.each([
    [1, [1], true],
    [1, [2], false],
    [undefined, [2], true],
    [undefined, [3, 5], false],
  ])(
    'U22: the policy decides about the algorithm %s of a key by %j: %j',
    (algorithm, authenticationAlgorithms, isTaken) => {
      const context = {
        registered: [credentialOf({ algorithm })],
        policy: { accepted: [[{ authenticationAlgorithms }]] },
      }
      const failure = failureOf(() => authenticate([buildAuthentication({ key })], context))
      expect(failure).toBe(isTaken ? undefined : 'policy_mismatch')
    },
  )

  const hash = hashOf('Pay 10')
  test.each<[string, Partial<Context>, object]>([
    ['a counter that both leave at 0', { registered: [credentialOf({ signCounter: 0 })] }, { counter: 0 }],
    ['the AAID in the other case', {}, { aaid: 'f1d0#0001' }],
    ['the owner where no user was named', { username: undefined }, {}],
    ['one of two transactions', { transactionHashes: [hashOf('x'), hash] }, { mode: 2, transactionHash: hash }],
    ['an AAID with a statement', { rules: rulesOf([statement], 'basic') }, {}],
  ])('U29 to U33: accepts %s', (_, context, parts) => {
    expect(authenticate([buildAuthentication({ key, ...parts })], context).username).toBe('jeff')
  })

  test.each<[string, UafFailure, Partial<Context>, object]>([
    ['an unknown AAID with basic attestation', 'unknown_authenticator', { rules: rulesOf([], 'basic') }, {}],
    ['an unknown key', 'unknown_key', {}, { keyId: Buffer.alloc(32, 9) }],
    ['a key of another user', 'foreign_key', { username: 'eve' }, {}],
    ['a user that is no longer known', 'unknown_user', { isKnownUser: () => false }, {}],
    ['a key outside the policy', 'policy_mismatch', { policy: { accepted: [[{ keyIDs: ['other'] }]] } }, {}],
    ['a version below the policy', 'policy_mismatch', { policy: { accepted: [[{ authenticatorVersion: 2 }]] } }, {}],
    ['another algorithm of the same key', 'algorithm_rejected', {}, { algorithm: 2 }],
    [
      'an algorithm that does not fit',
      'algorithm_rejected',
      { registered: [credentialOf({ algorithm: undefined })] },
      { algorithm: 5 },
    ],
    ['another final challenge', 'wrong_challenge_hash', {}, { fcParams: 'x' }],
    ['mode 1 where a transaction was asked for', 'wrong_transaction', { transactionHashes: [hash] }, {}],
    ['mode 1 with a hash', 'wrong_transaction', {}, { transactionHash: hash }],
    ['mode 2 where none was asked for', 'wrong_transaction', {}, { mode: 2, transactionHash: hash }],
    [
      'mode 2 with another hash',
      'wrong_transaction',
      { transactionHashes: [hashOf('x')] },
      { mode: 2, transactionHash: hash },
    ],
    ['mode 3', 'wrong_transaction', { transactionHashes: [hash] }, { mode: 3, transactionHash: hash }],
    ['a signature of another key', 'bad_signature', {}, { key: other }],
    ['the same counter', 'counter_not_greater', {}, { counter: 1 }],
    ['a smaller counter', 'counter_not_greater', { registered: [credentialOf({ signCounter: 9 })] }, { counter: 8 }],
    ['a counter of 0 after others', 'counter_not_greater', {}, { counter: 0 }],
  ])('U26 to U32: rejects %s: %s', (_, failure, context, parts) => {
    expect(failureOf(() => authenticate([buildAuthentication({ key, ...parts })], context))).toBe(failure)
  })

  test('U31: compares counters as unsigned numbers', () => {
    const registered = [credentialOf({ signCounter: 0x7fffffff })]
    expect(authenticate([buildAuthentication({ key, counter: 0x80000000 })], { registered }).uses).toMatchObject([
      { signCounter: 0x80000000 },
    ])
  })

  test('U33: rejects keys of two owners', () => {
    const keyId = Buffer.alloc(32, 2)
    const registered = [
      credentialOf(),
      credentialOf({
        keyId: keyId.toString('base64url'),
        publicKey: exportPublicKey(other.publicKey),
        username: 'eve',
      }),
    ]
    const both = [buildAuthentication({ key }), buildAuthentication({ key: other, keyId })]
    expect(failureOf(() => authenticate(both, { registered, username: undefined }))).toBe('several_owners')
    expect(authenticate(both, { registered }).username).toBe('jeff')
  })

  test('U28: keeps the assertions that hold', () => {
    const unknown = buildAuthentication({ key: other, keyId: Buffer.alloc(32, 2) })
    expect(authenticate([unknown, buildAuthentication({ key }), Buffer.from('x')]).uses).toHaveLength(1)
  })

  test('U18 to U32: rejects an assertion with any byte changed', () => {
    const assertion = buildAuthentication({ key })
    for (const at of assertion.keys()) {
      for (const bit of [1, 0x80]) {
        const changed = Buffer.from(assertion)
        changed[at] = (changed[at] ?? 0) ^ bit
        expect(failureOf(() => authenticate([changed]))).toBeDefined()
      }
    }
  })
})

describe('a changed registration', () => {
  test.each([
    ['that attests itself', buildRegistration({ key }), free],
    ['that its vendor attests', buildRegistration({ key, certificates: CHAIN }), rulesOf([statement], 'basic')],
  ])('U18 to U25: rejects an assertion %s with any byte changed', (_, assertion, rules) => {
    expect(register([assertion], { rules })).toHaveLength(1)
    for (const at of assertion.keys()) {
      const changed = Buffer.from(assertion)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      expect(failureOf(() => register([changed], { rules }))).toBeDefined()
    }
  })
})
