import type { Configuration } from '../../config/schema.ts'
import { secretSlots } from '../../config/schema.ts'
import { digestSecret } from '../../core/crypto/secrets.ts'
import { sha256 } from '../../core/crypto/sha256.ts'
import { type IsSecret, REDACTED, redactValue } from '../journal/redact.ts'

/** Returns a configuration as it was written, without its secrets. */
export function redactConfiguration(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((entry) => redactConfiguration(entry, name))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redactConfiguration(inner, key)]))
  }
  if (SECRET_KEYS.includes(name)) return REDACTED
  // The credentials of a store, and those in the URL of an issuer's keys.
  return typeof value === 'string' ? redactValue('', value, () => false) : value
}

const SECRET_KEYS = ['secret', 'password', 'token', 'key']

const PLAIN = 'plain:'

/** Creates a test for the configured secrets, which people type into wrong fields. Hashed passwords cannot be recognised. */
export function createSecretTest(configuration: () => Configuration): IsSecret {
  let digestsOf: { readonly configuration: Configuration; readonly digests: ReadonlySet<string> } | undefined
  return (text) => {
    const current = configuration()
    if (digestsOf?.configuration !== current) {
      digestsOf = { configuration: current, digests: new Set(digestsIn(current)) }
    }
    return digestsOf.digests.has(sha256(text, 'base64url'))
  }
}

function digestsIn({ bws, idscan, nevisfido, resourceServers, control }: Configuration): string[] {
  const holders = [...(bws ? bws.apps : []), ...(nevisfido ? nevisfido.clients : []), ...resourceServers]
  const passwords = (idscan ? idscan.accounts : []).map(({ password }) => password)
  const controlToken = control ? control.token : undefined
  const plain = passwords.filter((password) => password.startsWith(PLAIN))
  return [
    ...holders.flatMap((holder) => secretSlots(holder).map(({ digest }) => digest)),
    ...plain.map((password) => digestSecret(password.slice(PLAIN.length))),
    ...(controlToken ? [controlToken] : []),
  ].map(toText)
}

function toText(digest: Uint8Array): string {
  return Buffer.from(digest).toString('base64url')
}
