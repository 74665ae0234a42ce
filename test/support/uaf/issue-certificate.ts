import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'

// X.509 certificates (RFC 5280) for attestation, in a few bytes of DER: openssl would take a process for each.

export interface CertificateOptions {
  readonly subject: string
  /** Self-signed by default. */
  readonly issuer?: Issued
  /** Whether it is a CA; true for a self-signed one by default. */
  readonly ca?: boolean
  /** Milliseconds since the epoch. */
  readonly notBefore?: number
  readonly notAfter?: number
  /** Value of id-fido-gen-ce-aaid. */
  readonly aaid?: string
  /** The same without the inner layer of DER. */
  readonly rawAaid?: string
  /** A new key on P-256 by default. Of another kind only with an issuer, as its signature is ECDSA. */
  readonly privateKey?: KeyObject
  /** Signs with this key in place of the issuer's. */
  readonly signer?: KeyObject
}

/** A certificate and its private key. */
export interface Issued {
  readonly subject: string
  readonly der: Buffer
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

const DAY = 86_400_000

/** 2026-01-01, from which certificates are valid by default, for ten years. */
const VALID_FROM = Date.UTC(2026, 0, 1)
const VALID_TO = VALID_FROM + 3_650 * DAY

let serial = 1

/** Issues a certificate for ECDSA on P-256. */
export function issueCertificate({
  subject,
  issuer,
  ca = issuer === undefined,
  notBefore = VALID_FROM,
  notAfter = VALID_TO,
  aaid,
  rawAaid,
  privateKey: given,
  signer,
}: CertificateOptions): Issued {
  const privateKey = given ?? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  const publicKey = createPublicKey(privateKey)
  const extensions = [extension(OID.BASIC_CONSTRAINTS, true, sequence(ca ? [boolean(true)] : []))]
  if (aaid !== undefined) extensions.push(extension(OID.FIDO_AAID, false, der(0x04, Buffer.from(aaid))))
  if (rawAaid !== undefined) extensions.push(extension(OID.FIDO_AAID, false, Buffer.from(rawAaid)))
  const algorithm = sequence([oid(OID.ECDSA_SHA256)])
  const content = sequence([
    der(0xa0, integer(2)),
    integer((serial++ % 127) + 1),
    algorithm,
    name(issuer?.subject ?? subject),
    sequence([time(notBefore), time(notAfter)]),
    name(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extensions)),
  ])
  const signature = sign('sha256', content, signer ?? issuer?.privateKey ?? privateKey)
  const certificate = sequence([content, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature]))])
  // Parses it, so that a test never sends a malformed one by accident.
  return { subject, der: new X509Certificate(certificate).raw, privateKey, publicKey }
}

const OID = {
  BASIC_CONSTRAINTS: '55 1d 13',
  COMMON_NAME: '55 04 03',
  ECDSA_SHA256: '2a 86 48 ce 3d 04 03 02',
  /** 1.3.6.1.4.1.45724.1.1.1 */
  FIDO_AAID: '2b 06 01 04 01 82 e5 1c 01 01 01',
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (parts: readonly Buffer[]) => der(0x30, Buffer.concat(parts))
const boolean = (value: boolean) => der(0x01, Buffer.from([value ? 0xff : 0]))
/** For values below 128. */
const integer = (value: number) => der(0x02, Buffer.from([value]))
const oid = (hex: string) => der(0x06, Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const name = (commonName: string) =>
  sequence([der(0x31, sequence([oid(OID.COMMON_NAME), der(0x0c, Buffer.from(commonName))]))])

/** GeneralizedTime. */
function time(at: number): Buffer {
  const text = new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return der(0x18, Buffer.from(text))
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence([oid(id), ...(critical ? [boolean(true)] : []), der(0x04, value)])
}
