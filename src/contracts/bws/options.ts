import type { BwsApp, BwsIssuer } from '../../core/bws/issue.ts'
import type { BwsTokens } from '../../core/bws/tokens.ts'
import type { Guard } from '../../core/guard.ts'
import type { AuditLog } from '../../observability/audit-log.ts'

export interface BwsOptions {
  /** By App-ID. */
  readonly apps: ReadonlyMap<string, BwsApp>
  readonly issuer: BwsIssuer
  readonly tokens: BwsTokens
  readonly guard: Guard
  readonly audit: AuditLog
}
