/**
 * How long everything that rejects a token is kept after the token expires: revocations, tries, redeemed and revoked records. A clock
 * that is set back by less than this revives no token. For the same time an expired record is distinguished from an unknown one (N23).
 */
export const RETENTION_MS = 3_600_000
