/** When a signed token is valid: RFC 7519 NumericDates, in seconds since the epoch. */
export interface ValidityPeriod {
  readonly nbf: number
  readonly exp: number
}

/**
 * Returns why a token is not valid at a time, or undefined where it is. There is no leeway (B34, I32).
 *
 * @param now milliseconds since the epoch.
 * @see RFC 7519 sections 4.1.4 and 4.1.5
 */
export function outsideValidity({ nbf, exp }: ValidityPeriod, now: number) {
  if (now >= exp * 1000) return 'token_expired'
  return now < nbf * 1000 ? 'token_not_yet_valid' : undefined
}
