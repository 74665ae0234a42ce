import type { FidoOperation } from '../../core/fido/operation.ts'
import type { SessionOutcome, TokenRecord } from '../../core/ports/token-store.ts'

/**
 * The key of a record. Its value is one text, fields separated by a space: when the token was redeemed, when it was
 * revoked, when it expires, its operation, and JSON of the fields that never change. Once a response has settled the
 * session, a second line has JSON of the outcome. A hash would cost Redis more time and memory: a UAF request is too
 * long for its compact encoding.
 */
export const RECORD_KEY = 'trimint:record:'

/** The key of a session. Its value is the digest of the session's token. */
export const SESSION_KEY = 'trimint:session:'

/** Marks a record as not redeemed, or as not revoked. */
export const NEVER = '-'

/**
 * Splits a record into its fields. `scripts.ts` holds the same pattern in Lua.
 *
 * Not `.`, which excludes two more line breaks: JSON does not escape U+2028 and U+2029.
 */
const RECORD_PATTERN = /^(\S+) (\S+) (\d+) ([A-Za-z]+) (\{[^\n]*)(?:\n(\{[^\n]*))?$/

type ImmutableFields = Pick<
  TokenRecord,
  'sessionDigest' | 'username' | 'client' | 'uafRequest' | 'createdAt' | 'knownRevocation' | 'responseLifetime'
>

/** Formats a record that has been neither redeemed nor revoked. */
export function formatNewRecord(record: TokenRecord): string {
  const { expiresAt, operation, sessionDigest, username, client, uafRequest, createdAt, knownRevocation } = record
  const { responseLifetime } = record
  // The scripts read responseLifetime at the end of the text.
  const fields: ImmutableFields = {
    sessionDigest,
    username,
    client,
    uafRequest,
    createdAt,
    knownRevocation,
    responseLifetime,
  }
  return `${NEVER} ${NEVER} ${expiresAt} ${operation} ${JSON.stringify(fields)}`
}

/**
 * Parses the value of a record's key.
 *
 * @throws Error for a value that {@link formatNewRecord} and the scripts never write.
 */
export function parseRecord(tokenDigest: string, text: string): TokenRecord {
  const [, redeemedAt, revokedAt, expiresAt, operation, json, outcome] = RECORD_PATTERN.exec(text) ?? []
  if (json === undefined) throw new Error(`the value of ${RECORD_KEY}${tokenDigest} is not a token record`)
  const fields = JSON.parse(json) as ImmutableFields
  return {
    tokenDigest,
    sessionDigest: fields.sessionDigest,
    operation: operation as FidoOperation,
    username: fields.username,
    client: fields.client,
    uafRequest: fields.uafRequest,
    createdAt: fields.createdAt,
    knownRevocation: fields.knownRevocation,
    expiresAt: Number(expiresAt),
    responseLifetime: fields.responseLifetime,
    redeemedAt: parseTime(redeemedAt),
    revokedAt: parseTime(revokedAt),
    outcome: outcome === undefined ? undefined : (JSON.parse(outcome) as SessionOutcome),
  }
}

const parseTime = (text: string | undefined): number | undefined => (text === NEVER ? undefined : Number(text))
