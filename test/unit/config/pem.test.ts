import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkCertificateChain, checkPrivateKey, checkValidity, isUsablePair } from '../../../src/config/pem.ts'
import { cert, key, otherCert, otherKey } from '../../support/certificate.ts'
import { hasProgram } from '../../support/programs.ts'
import { FROZEN_TIME } from '../../support/time.ts'

const BAG = 'Bag Attributes\n    friendlyName: trimint\nsubject=CN = trimint.test\n'
const TEXT = 'Certificate:\n    Data:\n        Version: 3 (0x2)\n'

/** Forms of PEM that OpenSSL accepts. */
const forms: [what: string, form: (pem: string) => string][] = [
  ['as it is', (pem) => pem],
  ['with bag attributes', (pem) => BAG + pem],
  ['with the output of -text', (pem) => TEXT + pem],
  ['with a byte order mark', (pem) => `\ufeff${pem}`],
  ['with blank lines', (pem) => `\n\n${pem}\n\n`],
  ['with CRLF', (pem) => pem.replaceAll('\n', '\r\n')],
]

test.each(forms)('accepts PEM %s', (_what, form) => {
  expect(checkCertificateChain(form(cert))).toBeUndefined()
  expect(checkPrivateKey(form(key))).toBeUndefined()
  expect(isUsablePair({ cert: form(cert), key: form(key) })).toBe(true)
})

test('accepts a chain of several certificates', () => {
  expect(checkCertificateChain(cert + otherCert)).toBeUndefined()
})

test.each([
  ['nothing', ''],
  ['other text', 'hello'],
  ['a private key', key],
  ['a damaged certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  [
    'a chain that ends with a damaged certificate',
    `${cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
  ],
])('rejects %s as a certificate chain', (_what, text) => {
  expect(checkCertificateChain(text)).toMatch(/^not a certificate chain; expected certificates in PEM form/)
})

test.each([
  ['nothing', ''],
  ['other text', 'hello'],
  ['a certificate', cert],
])('rejects %s as a private key', (_what, text) => {
  expect(checkPrivateKey(text)).toMatch(/^not a private key; expected a private key in PEM form/)
})

test('rejects a key of another certificate', () => {
  expect(isUsablePair({ cert, key: otherKey })).toBe(false)
})

describe('an encrypted private key', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  test.each([
    ['PKCS #8', 'pkcs8'],
    ['the traditional form', 'sec1'],
  ] as const)('is named as such: %s', (_what, type) => {
    const text = privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()
    expect(checkPrivateKey(text)).toMatch(/^encrypted private key; expected one without a passphrase/)
  })
})

test('names the length of a short RSA key', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const text = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  expect(checkPrivateKey(text)).toBe('RSA key of 1024 bits; expected 2048 or more')
})

test.skipIf(!hasProgram('openssl'))('names the length of a short RSA key in a certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-pem-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const file = join(folder, 'key.pem')
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const text = execFileSync('openssl', ['req', '-x509', '-key', file, '-subj', '/CN=trimint.test'], {
    encoding: 'utf8',
  })
  expect(checkCertificateChain(text)).toBe('RSA key of 1024 bits; expected 2048 or more')
})

describe('the validity of a certificate', () => {
  const [from, to] = [Date.parse('2026-11-22T18:18:36Z'), Date.parse('2126-10-29T18:18:36Z')]
  test('causes a warning before it begins and after it ends', () => {
    expect(checkValidity(cert, FROZEN_TIME)).toMatch(/^certificate not valid before 2026-11-22T18:18:36/)
    expect(checkValidity(cert, from)).toBeUndefined()
    expect(checkValidity(cert, to - 1)).toBeUndefined()
    expect(checkValidity(cert, to)).toMatch(/^certificate expired at 2126-10-29T18:18:36/)
  })
})
