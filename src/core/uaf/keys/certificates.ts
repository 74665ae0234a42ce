import { X509Certificate } from 'node:crypto'
import { foldAaid } from '../aaid.ts'
import { DER_TAG, readMembers, readWhole } from './der.ts'

/** Parses a certificate in DER. Returns undefined for other bytes, and for a key of a kind that OpenSSL does not know. */
export function parseCertificate(der: Buffer): X509Certificate | undefined {
  // OpenSSL also takes PEM, and passes over bytes after the certificate.
  if (!readWhole(der, DER_TAG.SEQUENCE)) return undefined
  try {
    const certificate = new X509Certificate(der)
    return certificate.publicKey && certificate
  } catch {
    return undefined
  }
}

/**
 * Verifies a chain of attestation certificates, the signer's first (U25).
 *
 * @param roots the certificates that the last one is one of or issued by; undefined where nothing anchors it.
 * @param now milliseconds since the epoch.
 */
export function isValidChain(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[] | undefined,
  now: number,
): boolean {
  if (!chain.every((certificate) => isInForce(certificate, now))) return false
  if (roots !== undefined && !isAnchored(chain.at(-1), roots)) return false
  // From the anchor down: the first signature that a stranger did not get from a trusted key ends the work.
  const descending = chain.toReversed()
  return descending.every((issuer, at) => {
    const issued = descending[at + 1]
    return issued === undefined || (issuer.ca && isIssuedBy(issued, issuer))
  })
}

function isInForce({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now <= validToDate.getTime()
}

function isAnchored(last: X509Certificate | undefined, roots: readonly X509Certificate[]): boolean {
  return roots.some((root) => last && (root.raw.equals(last.raw) || isIssuedBy(last, root)))
}

/** Returns whether names and key identifiers match, and the signature is the issuer's. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

/** DER of the object identifier 1.3.6.1.4.1.45724.1.1.1, id-fido-gen-ce-aaid. */
const AAID_EXTENSION = Buffer.from('2b0601040182e51c010101', 'hex')

/** Returns whether a certificate names no model of authenticator, or this one (U25). */
export function allowsAaid(certificate: X509Certificate, aaid: string): boolean {
  const value = findExtension(certificate.raw, AAID_EXTENSION)
  if (!value) return true
  // The extension's value is DER of a string. Some issuers leave that layer out.
  const [inner, ...others] = readMembers(value)
  const texts = inner && others.length === 0 ? [value, inner.content] : [value]
  return texts.some((text) => foldAaid(text.toString('latin1')) === foldAaid(aaid))
}

/** Returns the value of an extension (RFC 5280, section 4.1), which node:crypto does not tell. */
function findExtension(certificate: Buffer, id: Buffer): Buffer | undefined {
  const [toBeSigned] = readMembers(readWhole(certificate, DER_TAG.SEQUENCE))
  const extensions = readMembers(toBeSigned?.content).find(({ tag }) => tag === DER_TAG.EXTENSIONS)
  const [list] = readMembers(extensions?.content)
  const fields = readMembers(list?.content).map(({ content }) => readMembers(content))
  const found = fields.find(([name]) => name?.tag === DER_TAG.OBJECT_IDENTIFIER && name.content.equals(id))
  return found?.find(({ tag }) => tag === DER_TAG.OCTET_STRING)?.content
}
