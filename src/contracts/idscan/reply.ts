import type { IdscanAccount } from '../../core/idscan/account.ts'
import type { IdscanToken } from '../../core/idscan/issue.ts'
import type { IdscanTokenReply } from './schema.ts'

const MOST_WRITTEN = 16

/**
 * The vendor's reply to a login (I16 to I19).
 *
 * @param idleTimeout seconds.
 */
export function createReply(
  account: IdscanAccount,
  { token, issuedAt, expiresAt }: IdscanToken,
  idleTimeout: number,
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
    IdleSessionTimeout: String(Math.floor(idleTimeout / 60)),
    'http://schemas.microsoft.com/ws/2008/06/identity/claims/role': account.role ?? '',
    memberOf: account.memberOf.join(','),
    tenant: account.tenant ?? '',
    '.issued': toHttpDate(issuedAt),
    '.expires': toHttpDate(expiresAt),
  }
}

/**
 * The two cookies without which two real clients fail (I20). No `Expires`: its comma breaks clients that split by hand.
 *
 * @param csrf random bytes; never checked.
 */
export function createCookies(token: string, csrf: Uint8Array, secure: boolean): [string, string] {
  const attributes = `Path=/${secure ? '; Secure' : ''}`
  const csrfToken = encodeURIComponent(Buffer.from(csrf).toString('base64'))
  return [`token=${token}; ${attributes}; HttpOnly`, `csrftoken=${csrfToken}; ${attributes}`]
}

// Two times stand in each reply, and all replies of a second have the same two.
const written = new Map<number, string>()

/** @param numericDate seconds since the epoch. */
function toHttpDate(numericDate: number): string {
  const known = written.get(numericDate)
  if (known !== undefined) return known
  const text = new Date(numericDate * 1000).toUTCString()
  if (written.size >= MOST_WRITTEN) written.clear()
  written.set(numericDate, text)
  return text
}
