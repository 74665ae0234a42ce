import { type Bcid, partitionOf } from '../../core/bws/bcid.ts'
import type { BwsApp, BwsTokenRequest, BwsTokenResult } from '../../core/bws/issue.ts'
import type { BwsToken } from '../../core/bws/verify.ts'
import { explainExpiry, listNames } from '../../http/explain-credentials.ts'

type IssueRefusal = Extract<BwsTokenResult, { readonly refused: unknown }>['refused']

/** Says why an app may not have a token, by the reason of the refusal. */
const ISSUE_EXPLANATIONS: Readonly<Record<IssueRefusal, (app: BwsApp, request: BwsTokenRequest) => string>> = {
  foreign_id: (app) => `the query's id is not ${app.id}, whose credentials the request has`,
  task_not_allowed: (app, { task }) =>
    `the query asks for task ${task}; bws.apps[${app.id}].tasks ${listNames([...app.tasks])}`,
  bcid_not_allowed: (app, { bcid }) =>
    `the query asks for ${describePartition(bcid)}; bws.apps[${app.id}].bcids ${app.partitions === '*' ? 'is *' : listNames([...app.partitions])}`,
}

function describePartition(bcid: Bcid | undefined): string {
  return bcid ? `the storage and partition ${partitionOf(bcid)}` : 'no partition'
}

export function explainIssue(refused: IssueRefusal, app: BwsApp, request: BwsTokenRequest): string {
  return ISSUE_EXPLANATIONS[refused](app, request)
}

/** Says why a verified token is refused for an operation, by the reason of the refusal. */
const CHECK_EXPLANATIONS: Readonly<Record<string, (token: BwsToken, operation: string, now: number) => string>> = {
  token_expired: ({ expires }, _operation, now) => explainExpiry(expires * 1000, now),
  token_not_yet_valid: ({ notBefore }, _operation, now) =>
    `the token is valid from ${new Date(notBefore * 1000).toISOString()}; it is ${new Date(now).toISOString()} for Trimint`,
  token_revoked: ({ tokenId, app }) =>
    `the token ${tokenId}, or everything issued to the app ${app} until then, was revoked`,
  unknown_app: ({ app }) => `the token was issued to the app ${app}, which bws.apps does not have`,
  wrong_task: ({ options }, operation) => `the token is for ${options.task}; the check is for ${operation}`,
  tries_used_up: ({ options }) =>
    `the token allowed ${options.maxtries} tries (maxtries), and all of them were counted`,
}

export function explainCheck(refused: string, token: BwsToken, operation: string, now: number): string {
  return CHECK_EXPLANATIONS[refused]?.(token, operation, now) ?? refused
}
