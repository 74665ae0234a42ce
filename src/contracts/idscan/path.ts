/** The one path of this contract (I1). */
export const IDSCAN_PATH = '/idscanenterprisesvc/token'

/**
 * Returns {@link IDSCAN_PATH} for any spelling of it, with or without a trailing slash (I1), and every other target
 * unchanged. Drops the query, which is neither read nor logged (I14).
 */
export function canonicalTarget(target: string): string {
  // Most requests end here. RFC 9112 section 3.2.2: a target may also be a whole URL.
  const second = target.charCodeAt(1)
  if (second !== LOWER_I && second !== UPPER_I && target.startsWith('/')) return target
  const end = target.indexOf('?')
  const path = (end === -1 ? target : target.slice(0, end)).replace(/^https?:\/\/[^/]*/i, '')
  const trimmed = path.endsWith('/') ? path.slice(0, -1) : path
  return trimmed.toLowerCase() === IDSCAN_PATH ? IDSCAN_PATH : target
}

const LOWER_I = 'i'.charCodeAt(0)
const UPPER_I = 'I'.charCodeAt(0)
