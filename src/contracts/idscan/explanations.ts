import type { IdscanAccount } from '../../core/idscan/account.ts'
import type { LoginResult } from '../../core/idscan/login.ts'
import type { IdscanClaims } from '../../core/idscan/verify.ts'
import { explainBlock, explainExpiry, listNames } from '../../http/explain-credentials.ts'

type FailedLogin = Extract<LoginResult, { readonly refused: unknown }>

/** Says why a login failed. Never repeats an unknown name: it may be a password in the wrong field. */
export function explainLogin(result: FailedLogin): string {
  switch (result.refused) {
    case 'unknown_account':
      return 'no account of idscan.accounts has this username; upper and lower case differ unless usernameCase is insensitive'
    case 'bad_password':
      return `the password is not that of ${result.account.username}; blanks count, and + means a blank in a form`
    case 'account_disabled':
      return `the password is right, but the account ${result.account.username} has disabled: true`
    case 'blocked': {
      const subject = result.account ? `the account ${result.account.username}` : 'this unknown name'
      return explainBlock(subject, result.retryAfterMs, 'guard.accountFailures')
    }
  }
}

export function explainArea({ username, areas }: IdscanAccount, area: string): string {
  return `the form asks for area ${area}; idscan.accounts[${username}].areas ${listNames([...areas])}; the password is right`
}

/** Says why a verified token is refused for an area, by the reason of the refusal. */
const CHECK_EXPLANATIONS: Readonly<Record<string, (claims: IdscanClaims, area: string, now: number) => string>> = {
  token_expired: ({ exp }, _area, now) => explainExpiry(exp * 1000, now),
  token_not_yet_valid: ({ nbf }, _area, now) =>
    `the token is valid from ${new Date(nbf * 1000).toISOString()}; it is ${new Date(now).toISOString()} for Trimint`,
  token_revoked: ({ jti, sub }) =>
    `the token ${jti}, or everything issued to the account ${sub} until then, was revoked`,
  token_idle: ({ jti }) => `the token ${jti} was not used for idscan.idleTimeout, and enforceIdleTimeout is true`,
  unknown_account: ({ sub }) => `the token was issued to the account ${sub}, which idscan.accounts does not have`,
  account_disabled: ({ sub }) => `the account ${sub} has disabled: true`,
  wrong_area: ({ area: own }, area) => `the token is for ${own ?? 'no area'}; the check is for ${area}`,
}

export function explainCheck(refused: string, claims: IdscanClaims, area: string, now: number): string {
  return CHECK_EXPLANATIONS[refused]?.(claims, area, now) ?? refused
}
