import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

// OpenSSL decides what is PEM: it accepts a byte order mark, blank lines, bag attributes and the output of -text.

/** NIST SP 800-131A; OpenSSL's default security level rejects shorter keys. */
export const MIN_RSA_BITS = 2048

/** Returns the length of an RSA key in bits; infinity for other kinds of key. */
export function rsaBits({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): number {
  const isRsa = asymmetricKeyType === 'rsa' || asymmetricKeyType === 'rsa-pss'
  return isRsa ? (asymmetricKeyDetails?.modulusLength ?? 0) : Number.POSITIVE_INFINITY
}

/** Returns why a text is not a usable certificate chain, or undefined. */
export function checkCertificateChain(text: string): string | undefined {
  try {
    const bits = rsaBits(new X509Certificate(text).publicKey)
    if (bits < MIN_RSA_BITS) return describeShortKey(bits)
    createSecureContext({ cert: text })
    return undefined
  } catch {
    return 'not a certificate chain; expected certificates in PEM form, usually file:/path/to.pem'
  }
}

/** OpenSSL's errors for a key that needs a passphrase. */
const ENCRYPTED = ['ERR_MISSING_PASSPHRASE', 'ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED']

/** Returns why a text is not a usable private key, or undefined. */
export function checkPrivateKey(text: string): string | undefined {
  try {
    const bits = rsaBits(createPrivateKey(text))
    return bits < MIN_RSA_BITS ? describeShortKey(bits) : undefined
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    return ENCRYPTED.includes(code)
      ? 'encrypted private key; expected one without a passphrase (openssl pkey -in encrypted.pem -out key.pem)'
      : 'not a private key; expected a private key in PEM form, usually file:/path/to.pem'
  }
}

function describeShortKey(bits: number): string {
  return `RSA key of ${bits} bits; expected ${MIN_RSA_BITS} or more`
}

/** Returns whether a private key belongs to the first certificate of a chain, and both serve TLS. */
export function isUsablePair(pair: { readonly cert: string; readonly key: string }): boolean {
  try {
    createSecureContext(pair)
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key))
  } catch {
    return false
  }
}

/** Returns when the first certificate of a chain expires, in milliseconds since the epoch. */
export function expiryOf(chain: string): number {
  return new X509Certificate(chain).validToDate.getTime()
}

/** Returns a warning if the first certificate of a chain is not valid at a time (milliseconds since the epoch). */
export function checkValidity(chain: string, now: number): string | undefined {
  const { validFromDate, validToDate } = new X509Certificate(chain)
  if (validToDate.getTime() <= now) {
    return `certificate expired at ${validToDate.toISOString()}; expected a valid one: clients reject it`
  }
  if (validFromDate.getTime() > now) {
    return `certificate not valid before ${validFromDate.toISOString()}; expected a valid one: clients reject it`
  }
  return undefined
}
