import type { IdscanIssuer } from '../../core/idscan/issue.ts'
import type { IdscanLogin } from '../../core/idscan/login.ts'
import type { IdscanTokens } from '../../core/idscan/tokens.ts'
import type { AuditLog } from '../../observability/audit-log.ts'

export interface IdscanOptions {
  readonly login: IdscanLogin
  readonly issuer: IdscanIssuer
  readonly tokens: IdscanTokens
  readonly audit: AuditLog
  /** As the reply reports it to the client. */
  readonly idleTimeoutSeconds: number
  readonly requireArea: boolean
  readonly corsOrigins: ReadonlySet<string>
  /** Whether callers use https even where a proxy ends it before Trimint. */
  readonly secure: boolean
}
