import { distance } from 'fastest-levenshtein'
import { matchSecret, type SecretSlot } from '../core/crypto/secrets.ts'

type Holders = ReadonlyMap<string, { readonly secrets: readonly SecretSlot[] }>

const MAX_LISTED = 5

/** Says which ids there are. Never repeats the unknown one: it may be a secret in the wrong field. */
export function explainUnknownId(given: string, holders: Holders, kind: string): string {
  const ids = [...holders.keys()]
  const [closest] = ids.toSorted((a, b) => distance(a, given) - distance(b, given))
  const hint = closest !== undefined && distance(closest, given) <= 2 ? `; did you mean ${closest}?` : ''
  return `no ${kind} has the id of this request; there ${listNames(ids)}${hint}`
}

/** Says whose secret was given. */
export function explainWrongSecret(id: string, secret: string, holders: Holders, now: number): string {
  const own = holders.get(id)?.secrets ?? []
  const expired = own.find((slot) => matchSecret(secret, [{ ...slot, notAfter: Number.POSITIVE_INFINITY }], now) === 0)
  if (expired) return `the secret of ${id} was valid until ${toIso(expired.notAfter)}; its notAfter has passed`
  const other = holders.entries().find(([, holder]) => matchSecret(secret, holder.secrets, now) !== undefined)
  if (other) return `the secret belongs to ${other[0]}, not to ${id}`
  return `the secret matches none of the ${own.length} secrets of ${id}`
}

/** Says for how long the guard blocks. */
export function explainBlock(subject: string, retryAfterMs: number, setting: string): string {
  return `the guard blocks ${subject} for another ${Math.ceil(retryAfterMs / 1000)} s, after as many failures as ${setting} allows`
}

/** Lists configured names for an explanation. */
export function listNames(names: readonly string[]): string {
  if (names.length === 0) return 'is none'
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : ''
  return `${names.length === 1 ? 'is' : 'are'} ${names.slice(0, MAX_LISTED).join(', ')}${more}`
}

/** Formats a time; `the end of time` for one that is never reached. */
function toIso(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? new Date(milliseconds).toISOString() : 'the end of time'
}

/** Says when a token expired, and what time it is for Trimint. Times are in milliseconds. */
export function explainExpiry(expires: number, now: number): string {
  return `the token expired at ${toIso(expires)}; it is ${toIso(now)} for Trimint`
}
