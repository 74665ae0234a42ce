import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { clientIp } from '../http/client-ip.ts'
import type { Metrics } from './metrics.ts'

/** Why a request was refused. Closed, and stable: dashboards and alarms are built on these (docs/audit.md). */
export const REFUSAL_REASONS = [
  'method_not_allowed',
  'missing_authorization',
  'malformed_authorization',
  'unknown_app',
  'unknown_account',
  'unknown_client',
  'unknown_resource_server',
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
  'invalid_token',
  'token_not_yet_valid',
  'token_revoked',
  'token_idle',
  'wrong_task',
  'tries_used_up',
  'wrong_area',
  'store_unavailable',
  'internal_error',
] as const

export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** What every decision says. */
interface Decision {
  /** `service` for what is asked of no contract: introspection and revocation. */
  readonly contract: 'bws' | 'idscan' | 'nevisfido' | 'service'
  /** The App-ID; only of an app that exists, since anything else may be a secret in the wrong place. */
  readonly app?: string | undefined
  /** The login name; only of an account that exists, for the same reason. */
  readonly account?: string | undefined
  /** The caller of nevisFIDO: a client's id, or issuer and subject of a JWT that was verified. */
  readonly client?: string | undefined
  /** Who introspects or revokes. */
  readonly resourceServer?: string | undefined
  /** Which of the caller's `secrets` was given, counted from 0. */
  readonly secretSlot?: number | undefined
  /** nevisFIDO's operation, or what a token is checked for. */
  readonly operation?: string | undefined
  /** The caller's address, as `trustProxy` makes it out; absent where the caller has gone before the decision. */
  readonly address: string | undefined
  readonly requestId: string
  /** The trace that the caller takes part in (W3C Trace Context), or one of ours where tracing is on. */
  readonly traceId: string | undefined
}

/** A request that is traced (tracing.ts); where none is, the method is not there. */
interface Traceable {
  opentelemetry?(): { readonly span: { spanContext(): { readonly traceId: string } } | null }
}

/** What every line says of the request. */
export function requestFields(request: FastifyRequest): Pick<Decision, 'address' | 'requestId' | 'traceId'> {
  const span = (request as Traceable).opentelemetry?.().span
  const traceId = span ? span.spanContext().traceId : readTraceId(request.headers.traceparent)
  return { address: clientIp(request), requestId: request.id, traceId }
}

/** W3C Trace Context, section 3.2: version, trace-id, parent-id, flags. A trace-id of zeros is none. */
function readTraceId(traceparent: unknown): string | undefined {
  if (typeof traceparent !== 'string') return undefined
  return /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/.exec(traceparent)?.[1]
}

/** About a token that there is. */
interface Known extends Decision {
  readonly tokenId: string
}

interface Checked extends Known {
  /** Where one was counted: how many are left. */
  readonly triesLeft?: number | undefined
}

interface Refused extends Decision {
  readonly reason: RefusalReason
  readonly tokenId?: string | undefined
  /** The names of the parameters that are at fault, never their values. */
  readonly parameters?: readonly string[] | undefined
  /** With `store_unavailable`: what the store said. */
  readonly cause?: string | undefined
}

/** Who is known by a secret of their own. */
type SecretHolder = 'app' | 'client' | 'resource_server'

/** Where decisions are written down and counted: one line each. */
export interface AuditLog {
  issued(decision: Known): void
  redeemed(decision: Known): void
  checked(decision: Checked): void
  introspected(decision: Known): void
  revoked(decision: Known): void
  refused(decision: Refused): void
  /** Counts only: the line says it with what was done. */
  secretUsed(holder: SecretHolder, slot: number): void
}

/**
 * Writes decisions to a log: what changed something at level info, what was refused at level warn. What was merely looked at is at
 * level debug, since every request of every protected service would be a line.
 */
export function createAuditLog(logger: Logger, metrics: Metrics): AuditLog {
  // What is the same on every line of a kind is written as JSON once.
  const lines = (event: string): Logger => logger.child({ event: `token.${event}` })
  const issued = lines('issued')
  const redeemed = lines('redeemed')
  const checked = lines('checked')
  const used = lines('used')
  const introspected = lines('introspected')
  const revoked = lines('revoked')
  const refused = lines('refused')
  return {
    issued(decision) {
      metrics.issued.inc({ contract: decision.contract })
      issued.info(decision)
    },
    redeemed(decision) {
      metrics.redeemed.inc({ contract: decision.contract })
      redeemed.info(decision)
    },
    checked(decision) {
      metrics.checked.inc({ contract: decision.contract })
      if (decision.triesLeft === undefined) checked.debug(decision)
      else used.info(decision)
    },
    introspected(decision) {
      metrics.introspected.inc({ contract: decision.contract })
      introspected.debug(decision)
    },
    revoked(decision) {
      metrics.revoked.inc({ contract: decision.contract })
      revoked.info(decision)
    },
    refused(decision) {
      metrics.refused.inc({ contract: decision.contract, reason: decision.reason })
      refused.warn(decision)
    },
    secretUsed: (holder, slot) => metrics.secretsUsed.inc({ holder, slot }),
  }
}
