import { afterAll, describe, expect, test } from 'vitest'
import { generatePrivateKey } from '../../../../src/development/authenticator/algorithms.ts'
import type { Attestation } from '../../../../src/development/authenticator/assertion.ts'
import type { AuthenticatorOptions } from '../../../../src/development/authenticator/authenticator.ts'
import type { AnswerChanges } from '../../../../src/development/authenticator/misbehaviour.ts'
import { TAG, type Tlv } from '../../../../src/development/authenticator/tlv.ts'
import { OPEN } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'
import { type CertificateOptions, type Issued, issueCertificate } from '../../../support/uaf/issue-certificate.ts'
import {
  attempt,
  createPhone,
  createRegisteredPhone,
  startSession,
  statusOf,
  withBytes,
  withReplaced,
  withValue,
} from '../../../support/uaf.ts'
import { ATTESTATION_TYPE, createStatement } from '../../../support/uaf-metadata.ts'

/** Without a statement. */
const UNKNOWN = 'FFFF#0001'
const SURROGATE = 'FFFF#0010'
const FULL = 'FFFF#0020'

const root = issueCertificate({ subject: 'Root' })
const otherRoot = issueCertificate({ subject: 'Other root' })
const full = createStatement({
  aaid: FULL,
  attestationTypes: [ATTESTATION_TYPE.FULL],
  attestationRootCertificates: [otherRoot, root].map(({ der }) => der.toString('base64')),
})
const surrogate = createStatement({ aaid: SURROGATE, authenticatorVersion: 5 })
const metadata = [surrogate, full]

const clock = createFrozenClock()
const service = await startService({ clock, configuration: { nevisfido: { ...OPEN, metadata } } })
const strict = await startService({ clock, configuration: { nevisfido: { ...OPEN, metadata, attestation: 'basic' } } })
afterAll(() => Promise.all([service.close(), strict.close()]))

let count = 0
const newUser = () => ({ username: `user-${count++}` })

async function register(
  options: Partial<AuthenticatorOptions>,
  change: AnswerChanges = {},
  at = service,
): Promise<number> {
  return (await attempt(at, createPhone(at, options), 'registration', { change }, newUser())).code
}

/** A full attestation by the last of some certificates, each issued by the one before; the root is not sent. */
function attest(...certificates: readonly Omit<CertificateOptions, 'subject'>[]): Attestation {
  let issuer: Issued = root
  const chain = certificates.map((options, index) => {
    const isLast = index === certificates.length - 1
    issuer = issueCertificate({
      subject: `Certificate ${index}`,
      ca: !isLast,
      ...options,
      issuer: options.issuer ?? issuer,
    })
    return issuer
  })
  return { algorithm: 1, privateKey: issuer.privateKey, certificates: chain.toReversed().map(({ der }) => der) }
}

const ecdaa = {
  assertion: ([krd]: Tlv[]) =>
    krd ? [krd, { tag: 0x3e09, value: [{ tag: TAG.SIGNATURE, value: Buffer.alloc(64) }] }] : [],
}

describe('the model', () => {
  test.each([
    { attestation: 'surrogate', aaid: UNKNOWN, code: 1200 },
    { attestation: 'surrogate', aaid: SURROGATE, code: 1200 },
    { attestation: 'basic', aaid: UNKNOWN, code: 1480 },
  ])('U26: with attestation $attestation, returns $code for the AAID $aaid', async ({ attestation, aaid, code }) => {
    expect(await register({ aaid }, {}, attestation === 'basic' ? strict : service)).toBe(code)
  })
})

describe('the attestation', () => {
  test.each([
    { statement: 'none', aaid: UNKNOWN, kind: 'surrogate', code: 1200 },
    { statement: 'none', aaid: UNKNOWN, kind: 'full', code: 1200 },
    { statement: 'without roots', aaid: SURROGATE, kind: 'surrogate', code: 1200 },
    { statement: 'without roots', aaid: SURROGATE, kind: 'full', code: 1496 },
    { statement: 'with roots', aaid: FULL, kind: 'full', code: 1200 },
    { statement: 'with roots', aaid: FULL, kind: 'surrogate', code: 1496 },
  ])('U24: returns $code for a $kind attestation where the statement is $statement', async ({ aaid, kind, code }) => {
    expect(await register(kind === 'full' ? { aaid, attestation: attest({}) } : { aaid })).toBe(code)
  })

  test.each([
    { aaid: SURROGATE, attestation: undefined, code: 1496 },
    { aaid: FULL, attestation: attest({}), code: 1200 },
  ])('U24: with attestation basic, returns $code for $aaid', async ({ aaid, attestation, code }) => {
    expect(await register(attestation ? { aaid, attestation } : { aaid }, {}, strict)).toBe(code)
  })

  test.each([UNKNOWN, SURROGATE, FULL])('U24: returns 1496 for ECDAA from %s', async (aaid) => {
    expect(await register({ aaid }, ecdaa)).toBe(1496)
  })

  test('U24: returns 1496 for a surrogate attestation by another key', async () => {
    const { code } = await attempt(service, createPhone(service), 'registration', { misbehave: 'wrongKey' }, newUser())
    expect(code).toBe(1496)
  })

  test.each([
    { title: 'an empty signature', signature: () => Buffer.alloc(0) },
    { title: 'zeros', signature: () => Buffer.alloc(64) },
    { title: 'a byte changed', signature: (bytes: Buffer) => bytes.fill(bytes.readUInt8(20) ^ 1, 20, 21) },
    { title: 'a byte more', signature: (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]) },
  ])('U24: returns 1496 for a signature with $title', async ({ signature }) => {
    const replace = withReplaced(TAG.SIGNATURE, signature)
    expect(await register({}, { assertion: replace })).toBe(1496)
    expect(await register({ aaid: FULL, attestation: attest({}) }, { assertion: replace })).toBe(1496)
  })
})

describe('the certificates of a full attestation', () => {
  const HOUR = 3_600_000
  const past = { notBefore: FROZEN_TIME - 48 * HOUR, notAfter: FROZEN_TIME - 24 * HOUR }
  const future = { notBefore: FROZEN_TIME + 24 * HOUR }
  const outsider = issueCertificate({ subject: 'Outsider' })

  test.each([
    { title: 'one that a root issued', attestation: attest({}), code: 1200 },
    { title: 'one that names the AAID', attestation: attest({ aaid: FULL }), code: 1200 },
    { title: 'one that names another AAID', attestation: attest({ aaid: 'FFFF#0021' }), code: 1496 },
    { title: 'a chain over an intermediate CA', attestation: attest({}, {}), code: 1200 },
    { title: 'a chain over two intermediate CAs', attestation: attest({}, {}, {}), code: 1200 },
    { title: 'an issuer that is not a CA', attestation: attest({ ca: false }, {}), code: 1496 },
    { title: 'an expired one', attestation: attest(past), code: 1496 },
    { title: 'one that is not valid yet', attestation: attest(future), code: 1496 },
    { title: 'an expired intermediate CA', attestation: attest(past, {}), code: 1496 },
    { title: 'an unknown root', attestation: attest({ issuer: outsider }), code: 1496 },
    { title: 'a self-signed one', attestation: attestWith([issueCertificate({ subject: 'Self' })]), code: 1496 },
    { title: 'the root itself', attestation: attestWith([root]), code: 1200 },
    {
      title: 'a chain that ends with the root',
      attestation: attestWith([issueCertificate({ subject: 'Leaf', issuer: root }), root]),
      code: 1200,
    },
    {
      title: 'an issuer of the same name with another key',
      attestation: attest({ issuer: { ...root, privateKey: outsider.privateKey } }),
      code: 1496,
    },
    { title: 'certificates in the wrong order', attestation: reverse(attest({}, {})), code: 1496 },
    { title: 'an unrelated certificate at the end', attestation: append(attest({}), otherRoot.der), code: 1496 },
    {
      title: 'bytes that are not a certificate',
      attestation: append(attest({}), Buffer.from('certificate')),
      code: 1496,
    },
    {
      title: 'a key that is not of the certificate',
      attestation: { ...attest({}), privateKey: outsider.privateKey },
      code: 1496,
    },
  ])('U25: returns $code for $title', async ({ attestation, code }) => {
    expect(await register({ aaid: FULL, attestation })).toBe(code)
  })

  test.each([
    { title: 'anchored nowhere', attestation: attest({ issuer: outsider }), code: 1200 },
    { title: 'that are expired', attestation: attest(past), code: 1496 },
    { title: 'that name another AAID', attestation: attest({ aaid: 'FFFF#0021' }), code: 1496 },
    { title: 'that did not issue one another', attestation: append(attest({}), otherRoot.der), code: 1496 },
  ])('U25: without a statement, returns $code for certificates $title', async ({ attestation, code }) => {
    expect(await register({ aaid: UNKNOWN, attestation })).toBe(code)
  })

  function attestWith(chain: readonly Issued[]): Attestation {
    const [first = root] = chain
    return { algorithm: 1, privateKey: first.privateKey, certificates: chain.map(({ der }) => der) }
  }

  function reverse(attestation: Attestation): Attestation {
    return { ...attestation, certificates: attestation.certificates.toReversed() }
  }

  function append(attestation: Attestation, certificate: Uint8Array): Attestation {
    return { ...attestation, certificates: [...attestation.certificates, certificate] }
  }
})

describe('the key', () => {
  test('U27: keeps the key, so that it authenticates', async () => {
    const context = newUser()
    const phone = await createRegisteredPhone(service, {}, context.username)
    const { code, sessionId } = await attempt(service, phone, 'authentication', {}, context)
    expect(code).toBe(1200)
    expect(await statusOf(service, sessionId)).toMatchObject({ userId: context.username })
  })

  test('U27: returns 1494 for an AAID and key id of another user', async () => {
    const phone = await createRegisteredPhone(service, {}, newUser().username)
    const keyId = Buffer.from(phone.keys[0]?.keyId ?? '', 'base64url')
    expect(await register({}, { signed: withValue(TAG.KEYID, keyId) })).toBe(1494)
    expect(await register({ aaid: SURROGATE }, { signed: withValue(TAG.KEYID, keyId) })).toBe(1200)
  })

  test("U27: returns 1492 for a key of the same user, which the request's policy disallows", async () => {
    const context = newUser()
    const phone = await createRegisteredPhone(service, {}, context.username)
    const keyId = Buffer.from(phone.keys[0]?.keyId ?? '', 'base64url')
    const change = { signed: withValue(TAG.KEYID, keyId) }
    expect((await attempt(service, createPhone(service), 'registration', { change }, context)).code).toBe(1492)
  })

  test('U27: keeps no key of a registration that failed', async () => {
    const context = newUser()
    const session = await startSession(service, 'registration', context)
    const phone = createPhone(service)
    await attempt(service, phone, 'registration', { misbehave: 'wrongKey' }, context)
    const { uafRequest } = await startSession(service, 'registration', context)
    expect(JSON.parse(uafRequest)[0].policy.disallowed).toBeUndefined()
    expect(session.uafRequest).not.toContain('disallowed')
  })

  test('U27: refuses nothing for RegCounter or a version below that of the statement', async () => {
    expect(await register({ aaid: SURROGATE, authenticatorVersion: 1 })).toBe(1200)
    const counters = withBytes(TAG.COUNTERS, (bytes) => void bytes.writeUInt32LE(0xffff_ffff, 4))
    expect(await register({}, { signed: counters })).toBe(1200)
  })

  test('U20: takes the algorithm of a full attestation from the certificate, not from the key', async () => {
    const attestation = attest({})
    const privateKey = await generatePrivateKey(5)
    expect(await register({ aaid: UNKNOWN, algorithm: 5, privateKey, attestation })).toBe(1200)
  })
})
