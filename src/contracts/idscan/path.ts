/** The one path of this contract (I1). */
export const IDSCAN_PATH = '/idscanenterprisesvc/token'

/** The paths that any spelling leads to: that of this contract, and those of the stand-ins (S11 to S13). */
const PATHS: ReadonlySet<string> = new Set([
  IDSCAN_PATH,
  '/idscanenterprisesvc/journey/upload',
  '/idscanenterprisesvc/journey/get',
  '/idscanenterprisesvc/journeydefinition/getall',
])

/**
 * Returns one of {@link PATHS} for any spelling of it, with or without a trailing slash (I1), and every other target
 * unchanged. Drops the query: this contract neither reads nor logs it (I14), and the stand-ins read the original.
 */
export function canonicalTarget(target: string): string {
  // Most requests end here. RFC 9112 section 3.2.2: a target may also be a whole URL.
  const second = target.charCodeAt(1)
  if (second !== LOWER_I && second !== UPPER_I && target.startsWith('/')) return target
  const end = target.indexOf('?')
  const path = (end === -1 ? target : target.slice(0, end)).replace(/^https?:\/\/[^/]*/i, '')
  const trimmed = path.endsWith('/') ? path.slice(0, -1) : path
  const folded = trimmed.toLowerCase()
  return PATHS.has(folded) ? folded : target
}

const LOWER_I = 'i'.charCodeAt(0)
const UPPER_I = 'I'.charCodeAt(0)
