import { decodeTask, type TaskOptions } from '../../core/bws/task.ts'
import { type BwsTrait, decodeTraits } from '../../core/bws/traits.ts'
import type { Claims } from '../../core/crypto/jws.ts'
import { digestId } from '../../core/fido/issue.ts'
import { statusOf } from '../../core/fido/status.ts'
import { isRedeemable } from '../../core/fido/tokens.ts'
import type { RefusalReason } from '../../http/refusal.ts'
import { explainRefusal } from '../../observability/reasons.ts'
import type { IssuedTokens } from '../part.ts'
import { readSignedToken } from '../signed-token.ts'
import type { UseView } from '../stand-ins/part.ts'

/** Whether Trimint accepts a token now, and why not. */
type Verdict =
  | { readonly accepted: true; readonly triesLeft?: number }
  | { readonly accepted: false; readonly reason: RefusalReason; readonly explanation: string }

/** The content of a token (L25). */
export type DecodedToken = Verdict & {
  readonly contract: 'bws' | 'idscan' | 'nevisfido'
  readonly tokenId: string
  readonly header?: Claims
  readonly claims?: Claims
  /** BWS: the bits of `task` and `traits`. */
  readonly meaning?: Partial<TaskOptions> & { readonly traits?: readonly BwsTrait[] }
  /** nevisFIDO: what the store has. */
  readonly session?: Readonly<Record<string, string>>
  /** ISO 8601. */
  readonly notBefore?: string
  readonly expires?: string
}

/** A token with what the stand-ins know of it. */
export type UsedToken = DecodedToken & { readonly use?: UseView }

/**
 * Decodes a token of any contract and verifies it, without counting a use.
 *
 * @param now milliseconds since the epoch.
 * @throws StoreUnavailableError while the store that has to be asked fails.
 */
export async function decodeToken(token: string, tokens: IssuedTokens, now: number): Promise<DecodedToken> {
  const decoded = readSignedToken(token)
  if (!decoded) return decodeFido(token, tokens, now)
  const { header, claims, id: tokenId } = decoded
  const contract = 'tokenid' in claims ? 'bws' : 'idscan'
  const verdict = contract === 'bws' ? await verifyBws(token, tokens) : await verifyIdscan(token, tokens)
  return { contract, tokenId, header, claims, ...explainClaims(claims), ...verdict }
}

async function verifyBws(token: string, { bws }: IssuedTokens): Promise<Verdict> {
  const found = await bws?.find(token)
  if (!bws || !found) return refuse('invalid_token', 'the contract bws is switched off')
  if (!('refused' in found)) {
    const triesLeft = await bws.triesLeft(found.token)
    return triesLeft > 0 ? { accepted: true, triesLeft } : refuse('tries_used_up')
  }
  return refuse(found.refused, found.refused === 'invalid_token' ? bws.explainInvalid(token) : undefined)
}

async function verifyIdscan(token: string, { idscan }: IssuedTokens): Promise<Verdict> {
  const found = await idscan?.find(token)
  if (!idscan || !found) return refuse('invalid_token', 'the contract idscan is switched off')
  if (!('refused' in found)) return { accepted: true }
  return refuse(found.refused, found.refused === 'invalid_token' ? idscan.explainInvalid(token) : undefined)
}

async function decodeFido(token: string, { nevisfido }: IssuedTokens, now: number): Promise<DecodedToken> {
  const identity = { contract: 'nevisfido', tokenId: digestId(token) } as const
  const record = await nevisfido?.find(token)
  if (!record) return { ...identity, ...refuse('unknown_token') }
  const { operation, username, client, createdAt, expiresAt, redeemedAt, revokedAt } = record
  const session = {
    operation,
    ...(username === undefined ? {} : { username }),
    ...(client === undefined ? {} : { client }),
    status: statusOf(record, now).status,
  }
  const times = { notBefore: new Date(createdAt).toISOString(), expires: new Date(expiresAt).toISOString() }
  if (isRedeemable(record, now)) return { ...identity, session, ...times, accepted: true }
  const isSpent = redeemedAt !== undefined || revokedAt !== undefined
  const reason = isSpent ? 'token_spent' : now < createdAt ? 'token_not_yet_valid' : 'token_expired'
  return { ...identity, session, ...times, ...refuse(reason) }
}

function refuse(reason: RefusalReason, cause?: string): Verdict & { readonly accepted: false } {
  return { accepted: false, reason, explanation: explainRefusal(reason, cause === undefined ? undefined : () => cause) }
}

function explainClaims({ task, traits, nbf, exp }: Claims): Pick<DecodedToken, 'meaning' | 'notBefore' | 'expires'> {
  const meaning = {
    ...(typeof task === 'number' ? decodeTask(task) : {}),
    ...(typeof traits === 'number' ? { traits: decodeTraits(traits) } : {}),
  }
  const [notBefore, expires] = [toIso(nbf), toIso(exp)]
  return {
    ...(Object.keys(meaning).length > 0 ? { meaning } : {}),
    ...(notBefore ? { notBefore } : {}),
    ...(expires ? { expires } : {}),
  }
}

/** Returns an RFC 7519 NumericDate as ISO 8601; undefined for anything else, and out of range. */
function toIso(numericDate: unknown): string | undefined {
  return typeof numericDate === 'number' ? (new Date(numericDate * 1000).toJSON() ?? undefined) : undefined
}
