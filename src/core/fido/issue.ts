import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import { sha256 } from '../crypto/sha256.ts'
import type { TokenRecord, TokenStore } from '../ports/token-store.ts'
import type { Randomness } from '../randomness.ts'
import type { FidoContext } from './context.ts'
import type { FidoOperation } from './operation.ts'
import { createUafRequest, DEFAULT_POLICY, type Policy } from './uaf-request.ts'

export interface FidoIssuer {
  readonly store: TokenStore
  readonly clock: Clock
  readonly randomness: Randomness
  readonly appId: string
  /** By name; `default` is taken where a caller names none, and accepts every authenticator where it is not configured. */
  readonly policies: ReadonlyMap<string, Policy>
  /** Milliseconds until a token can no longer be redeemed. */
  readonly tokenLifetime: number
  /** Milliseconds until an answer to a redeemed request is no longer waited for. */
  readonly responseLifetime: Readonly<Record<FidoOperation, number>>
}

export interface FidoToken {
  readonly token: string
  readonly sessionId: string
  /** What names the token in logs: a digest, which redeems nothing. */
  readonly tokenId: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** What the store and the log know a token or a session by. */
export function digestId(id: string): string {
  return sha256(id, 'base64url')
}

/**
 * Issues an opaque token and its session, once they are in the store.
 *
 * @param client who asked, where they had to say.
 * @throws StoreUnavailableError when the store cannot take it.
 * @see docs/contracts/nevisfido.md
 */
export async function issueFidoToken(
  context: FidoContext,
  client: string | undefined,
  issuer: FidoIssuer,
): Promise<FidoToken> {
  const { store, clock, randomness, appId, policies } = issuer
  const policy = policies.get(context.policy ?? 'default') ?? DEFAULT_POLICY
  const token = randomness.uuid()
  const sessionId = randomness.uuid()
  const createdAt = clock()
  const record: TokenRecord = {
    tokenDigest: digestId(token),
    sessionDigest: digestId(sessionId),
    operation: context.operation,
    username: context.username,
    client,
    uafRequest: createUafRequest({ ...context, appId, policy }, randomness),
    createdAt,
    expiresAt: createdAt + issuer.tokenLifetime,
    responseLifetime: issuer.responseLifetime[context.operation],
    redeemedAt: undefined,
    revokedAt: undefined,
  }
  await available(store.create(record))
  return { token, sessionId, tokenId: record.tokenDigest, expiresAt: record.expiresAt }
}
