import type { IdscanAccount } from '../../core/idscan/account.ts'
import type { IdscanToken } from '../../core/idscan/issue.ts'
import type { IdscanTokenReply } from './schema.ts'

/** Returns the vendor's reply to a login (I16 to I19). */
export function createReply(
  account: IdscanAccount,
  { token, issuedAt, expiresAt }: IdscanToken,
  idleTimeoutSeconds: number,
): IdscanTokenReply {
  return {
    access_token: token,
    token_type: 'bearer',
    expires_in: expiresAt - issuedAt - 1,
    BranchCode: account.branchCode ?? '',
    'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name': account.username,
    FullName: account.fullName ?? '',
    AbbeyServiceCentre: '',
    JourneyId: '',
    IdleSessionTimeout: String(Math.floor(idleTimeoutSeconds / 60)),
    'http://schemas.microsoft.com/ws/2008/06/identity/claims/role': account.role ?? '',
    memberOf: account.memberOf.join(','),
    tenant: account.tenant ?? '',
    '.issued': toHttpDate(issuedAt),
    '.expires': toHttpDate(expiresAt),
  }
}

/**
 * Returns the two cookies that real clients rely on (I20). No `Expires`: its comma breaks clients that split headers by
 * hand.
 *
 * @param csrf random bytes; never checked.
 */
export function createCookies(token: string, csrf: Uint8Array, secure: boolean): [string, string] {
  const attributes = `Path=/${secure ? '; Secure' : ''}`
  const csrfToken = encodeURIComponent(Buffer.from(csrf).toString('base64'))
  return [`token=${token}; ${attributes}; HttpOnly`, `csrftoken=${csrfToken}; ${attributes}`]
}

// All replies of one second carry the same two dates.
const MAX_CACHED_DATES = 16
const cachedDates = new Map<number, string>()

/** @param numericDate seconds since the epoch. */
function toHttpDate(numericDate: number): string {
  const cached = cachedDates.get(numericDate)
  if (cached !== undefined) return cached
  const text = new Date(numericDate * 1000).toUTCString()
  if (cachedDates.size >= MAX_CACHED_DATES) cachedDates.clear()
  cachedDates.set(numericDate, text)
  return text
}
