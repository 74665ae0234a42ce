import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import { explainInvalidToken } from '../crypto/explain-invalid-token.ts'
import type { UsageStore } from '../ports/usage-store.ts'
import type { Revocations } from '../revocations.ts'
import type { BwsTask } from './task.ts'
import { type BwsToken, type BwsVerifier, verifyBwsToken } from './verify.ts'

/** What a client presents a token for: an upload, which tokens of every task allow, or the API of one task (B33). */
export type BwsOperation = 'upload' | BwsTask

type Found =
  | { readonly token: BwsToken }
  | {
      readonly refused: 'token_expired' | 'token_not_yet_valid' | 'token_revoked' | 'unknown_app'
      readonly token: BwsToken
    }
  | { readonly refused: 'invalid_token' }

/** A token that is accepted for an operation. */
export interface CountedBwsToken {
  readonly token: BwsToken
  /** Tries left after this use; undefined where none is counted. */
  readonly triesLeft: number | undefined
}

type CheckedBwsToken =
  | CountedBwsToken
  | Extract<Found, { refused: unknown }>
  | { readonly refused: 'wrong_task' | 'tries_used_up'; readonly token: BwsToken }

/** Issued BWS tokens. Every method throws StoreUnavailableError where it needs the store and the store fails. */
export interface BwsTokens {
  /** Verifies a token and its revocation. Does not count a use. */
  find(jws: string): Promise<Found>
  /** Checks a token for an operation. An operation that is the token's own task uses up one try (B35). */
  check(jws: string, operation: BwsOperation): Promise<CheckedBwsToken>
  /** Says why {@link find} returns `invalid_token`. */
  explainInvalid(jws: string): string
  /** Returns how many tries a token has left. */
  triesLeft(token: BwsToken): Promise<number>
}

export interface BwsTokensDependencies {
  readonly verifier: BwsVerifier
  /** Ids of the configured apps; tokens of other apps are rejected. */
  readonly apps: ReadonlySet<string>
  readonly revocations: Revocations
  readonly uses: UsageStore
  readonly clock: Clock
}

export function createBwsTokens({ verifier, apps, revocations, uses, clock }: BwsTokensDependencies): BwsTokens {
  async function find(jws: string): Promise<Found> {
    const verified = verifyBwsToken(jws, verifier, clock())
    if ('refused' in verified) return verified
    const { token } = verified
    if (!apps.has(token.app)) return { refused: 'unknown_app', token }
    await available(revocations.refreshIfStale())
    const { tokenId, app, notBefore } = token
    const revokedAt = revocations.revokedAt({ tokenId, holder: `app ${app}`, issuedAt: notBefore * 1000 })
    return revokedAt === undefined ? { token } : { refused: 'token_revoked', token }
  }

  async function countUse(token: BwsToken): Promise<CheckedBwsToken> {
    const { maxtries } = token.options
    const used = await available(uses.count(token.tokenId, maxtries, token.expires * 1000, clock()))
    return used === undefined ? { refused: 'tries_used_up', token } : { token, triesLeft: maxtries - used }
  }

  return {
    find,
    async check(jws, operation) {
      const found = await find(jws)
      if ('refused' in found) return found
      const { token } = found
      if (operation === 'upload') return { token, triesLeft: undefined }
      const { task } = token.options
      return operation === task ? countUse(token) : { refused: 'wrong_task', token }
    },
    explainInvalid: (jws) => explainInvalidToken(jws, verifier, clock),
    async triesLeft({ tokenId, options }) {
      return options.maxtries - (await available(uses.counted(tokenId)))
    },
  }
}
