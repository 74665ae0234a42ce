import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import { sha256 } from '../crypto/sha256.ts'
import type { AnonymousLimit, TokenRecord, TokenStore } from '../ports/token-store.ts'
import type { Randomness } from '../randomness.ts'
import type { Revocations } from '../revocations.ts'
import type { Policy } from '../uaf/policy.ts'
import type { FidoContext } from './context.ts'
import type { FidoOperation } from './operation.ts'
import { createUafRequest, DEFAULT_POLICY } from './uaf-request.ts'

export interface FidoIssuer {
  readonly store: TokenStore
  readonly revocations: Revocations
  readonly clock: Clock
  readonly randomness: Randomness
  readonly appId: string
  /** By name. `default` applies where a caller names none; unless configured, it accepts every authenticator. */
  readonly policies: ReadonlyMap<string, Policy>
  /** How long a token can be redeemed. */
  readonly tokenLifetimeMs: number
  /** Limits the tokens of callers that are not authenticated. */
  readonly anonymousLimit: AnonymousLimit
  /** How long the FIDO client has to respond after redemption. */
  readonly responseLifetimeMs: Readonly<Record<FidoOperation, number>>
}

export interface FidoToken {
  readonly token: string
  readonly sessionId: string
  /** Digest of the token, for logs. A digest cannot be redeemed. */
  readonly tokenId: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** Thrown where the store holds as many tokens of callers without credentials as it may. */
export class AnonymousLimitError extends Error {
  override readonly name = 'AnonymousLimitError'
  readonly code = 'ERR_ANONYMOUS_LIMIT'
}

/** Computes the digest that identifies a token or a session in the store and in logs. */
export function digestId(id: string): string {
  return sha256(id, 'base64url')
}

/**
 * Issues an opaque token and its session. Resolves once both are in the store.
 *
 * @param client the authenticated caller; undefined where the contract does not require one.
 * @throws StoreUnavailableError when the store fails; AnonymousLimitError without a client and without room.
 * @see docs/contracts/nevisfido.md
 */
export async function issueFidoToken(
  context: FidoContext,
  client: string | undefined,
  issuer: FidoIssuer,
): Promise<FidoToken> {
  const { store, clock, randomness, appId, policies } = issuer
  const knownRevocation = await findKnownRevocation(context.username, issuer)
  const policy = policies.get(context.policy ?? 'default') ?? DEFAULT_POLICY
  const token = randomness.uuid()
  const sessionId = randomness.uuid()
  const createdAt = clock()
  const tokenDigest = digestId(token)
  const details = { ...context, appId, policy }
  const record: TokenRecord = {
    tokenDigest,
    sessionDigest: digestId(sessionId),
    operation: context.operation,
    username: context.username,
    client,
    uafRequest: createUafRequest(details, tokenDigest, randomness),
    createdAt,
    knownRevocation,
    expiresAt: createdAt + issuer.tokenLifetimeMs,
    responseLifetime: issuer.responseLifetimeMs[context.operation],
    redeemedAt: undefined,
    revokedAt: undefined,
    outcome: undefined,
  }
  const limit = client === undefined ? issuer.anonymousLimit : undefined
  if (!(await available(store.create(record, limit)))) {
    throw new AnonymousLimitError('too many tokens of callers without credentials')
  }
  return { token, sessionId, tokenId: tokenDigest, expiresAt: record.expiresAt }
}

async function findKnownRevocation(username: string | undefined, { revocations }: FidoIssuer): Promise<number> {
  if (username === undefined) return 0
  await available(revocations.refreshIfStale())
  return revocations.latestOf(`user ${username}`)
}
