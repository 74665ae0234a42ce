import type { Logger } from 'pino'

/** Why a request was refused. Closed, and stable: dashboards and alarms are built on these (docs/audit.md). */
export const REFUSAL_REASONS = [
  'method_not_allowed',
  'missing_authorization',
  'malformed_authorization',
  'unknown_app',
  'unknown_account',
  'unknown_client',
  'bad_secret',
  'bad_password',
  'bad_bearer',
  'account_disabled',
  'blocked',
  'overloaded',
  'bad_body',
  'body_too_large',
  'unsupported_grant_type',
  'unsupported_media_type',
  'not_acceptable',
  'bad_contents',
  'bad_parameter',
  'foreign_id',
  'task_not_allowed',
  'bcid_not_allowed',
  'area_not_allowed',
  'user_not_allowed',
  'unknown_user',
  'unknown_token',
  'token_spent',
  'token_expired',
  'wrong_operation',
  'internal_error',
] as const

export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** What every decision says. */
interface Decision {
  readonly contract: 'bws' | 'idscan' | 'nevisfido'
  /** The App-ID; only of an app that exists, since anything else may be a secret in the wrong place. */
  readonly app?: string | undefined
  /** The login name; only of an account that exists, for the same reason. */
  readonly account?: string | undefined
  /** The caller of nevisFIDO: a client's id, or issuer and subject of a JWT that was verified. */
  readonly client?: string | undefined
  readonly operation?: string | undefined
  /** The caller's address, as `trustProxy` makes it out; absent where the caller has gone before the decision. */
  readonly address: string
  readonly requestId: string
}

interface Issued extends Decision {
  readonly tokenId: string
}

interface Refused extends Decision {
  readonly reason: RefusalReason
  /** The names of the parameters that are at fault, never their values. */
  readonly parameters?: readonly string[] | undefined
}

/** Where decisions are written down: one line each. */
export interface Audit {
  issued(decision: Issued): void
  redeemed(decision: Issued): void
  refused(decision: Refused): void
}

/** Writes decisions to a log: what was issued and redeemed at level info, what was refused at level warn. */
export function createAudit(logger: Logger): Audit {
  return {
    issued: (decision) => logger.info({ event: 'token.issued', ...decision }),
    redeemed: (decision) => logger.info({ event: 'token.redeemed', ...decision }),
    refused: (decision) => logger.warn({ event: 'token.refused', ...decision }),
  }
}
