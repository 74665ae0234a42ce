import type { Credential } from '../../src/core/ports/credential-store.ts'
import type { TokenRecord } from '../../src/core/ports/token-store.ts'

/** When records are created by default. */
export const NOW = Date.UTC(2026, 0, 1)

/** Milliseconds between the creation of a token and its expiry, by default. */
export const LIFETIME_MS = 300_000

/** Milliseconds that a client has to respond, by default. */
export const RESPONSE_MS = 120_000

let made = 0

/** Returns the record of a new token, with digests that no other record of the test file has. */
export function createRecord(changes: Partial<TokenRecord> = {}): TokenRecord {
  made += 1
  const { createdAt = NOW } = changes
  return {
    tokenDigest: `token-${made}`,
    sessionDigest: `session-${made}`,
    operation: 'registration',
    username: 'jeff',
    client: 'backend',
    uafRequest: '[{"header":{"op":"Reg"}}]',
    createdAt,
    knownRevocation: 0,
    expiresAt: createdAt + LIFETIME_MS,
    responseLifetime: RESPONSE_MS,
    redeemedAt: undefined,
    revokedAt: undefined,
    outcome: undefined,
    ...changes,
  }
}

/** Returns a registered key, with an id and a user that no other key of the test file has. */
export function createCredential(changes: Partial<Credential> = {}): Credential {
  made += 1
  return {
    aaid: 'F1D0#0001',
    keyId: `key-${made}`,
    username: `user-${made}`,
    publicKey: 'MFkw',
    algorithm: 1,
    signCounter: 1,
    authenticatorVersion: 2,
    registeredAt: NOW,
    lastUsedAt: undefined,
    ...changes,
  }
}
