import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { normaliseAddress } from '../core/address.ts'
import { clientIp } from '../http/client-ip.ts'
import type { Explain, RefusalReason } from '../http/refusal.ts'
import type { Metrics } from './metrics.ts'

/** Links a decision to its request, for development. A symbol, so that no log line contains it. */
export const requestOf: unique symbol = Symbol('request of a decision')

/** The fields of every line of the audit log. */
export interface Decision {
  /** `service` for introspection and revocation. */
  readonly contract: 'bws' | 'idscan' | 'nevisfido' | 'service'
  /** The App-ID of an existing app. Anything else may be a secret in the wrong field, and is not logged. */
  readonly app?: string | undefined
  /** The login name of an existing account, for the same reason. */
  readonly account?: string | undefined
  /** The nevisFIDO client: its id, or issuer and subject of its verified JWT. */
  readonly client?: string | undefined
  /** The id of the resource server that introspects or revokes. */
  readonly resourceServer?: string | undefined
  /** The position in the caller's `secrets` of the one that was given, counted from 0. */
  readonly secretSlot?: number | undefined
  /** The nevisFIDO operation, or the operation or area that a gateway checks a token for. */
  readonly operation?: string | undefined
  /**
   * The caller's address according to `trustProxy`, as `normaliseAddress` (address.ts) spells it; absent where the
   * caller disconnected before the decision.
   */
  readonly address: string | undefined
  readonly requestId: string
  /** The caller's trace (W3C Trace Context), or Trimint's own where tracing is on. */
  readonly traceId: string | undefined
  readonly [requestOf]?: FastifyRequest
}

/** A traced request (tracing.ts). Without tracing, the method is absent. */
interface Traceable {
  opentelemetry?(): { readonly span: { spanContext(): { readonly traceId: string } } | null }
}

/** Returns the audit fields of a request. */
export function requestFields(
  request: FastifyRequest,
): Pick<Decision, 'address' | 'requestId' | 'traceId' | typeof requestOf> {
  const span = (request as Traceable).opentelemetry?.().span
  const traceId = span ? span.spanContext().traceId : readTraceId(request.headers.traceparent)
  const given = clientIp(request)
  const address = given === undefined ? undefined : normaliseAddress(given)
  return { address, requestId: request.id, traceId, [requestOf]: request }
}

/** Reads version, trace-id, parent-id and flags (W3C Trace Context, section 3.2). A trace-id of zeros is invalid. */
function readTraceId(traceparent: unknown): string | undefined {
  if (typeof traceparent !== 'string') return undefined
  return /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/.exec(traceparent)?.[1]
}

interface TokenDecision extends Decision {
  readonly tokenId: string
}

interface Checked extends TokenDecision {
  /** Tries left after this one; absent where no try was counted. */
  readonly triesLeft?: number | undefined
}

interface Refused extends Decision {
  readonly reason: RefusalReason
  readonly tokenId?: string | undefined
  /** Names of the invalid parameters, never their values. */
  readonly parameters?: readonly string[] | undefined
  /** With `store_unavailable`: the store's error. */
  readonly cause?: string | undefined
  /** Set where the control API injected the fault (docs/development.md). */
  readonly injected?: true
}

/** The kinds of caller that authenticate with a machine secret. */
export type SecretHolder = 'app' | 'client' | 'resource_server'

/** Writes one line for each decision, and counts it. */
export interface AuditLog {
  issued(decision: TokenDecision): void
  redeemed(decision: TokenDecision): void
  /** A response of a FIDO client that completed its session. */
  answered(decision: TokenDecision): void
  checked(decision: Checked): void
  introspected(decision: TokenDecision): void
  revoked(decision: TokenDecision): void
  /** @param explain used in development only. */
  refused(decision: Refused, explain?: Explain): void
  /** Counts only. The line of the decision that follows names the slot. */
  secretUsed(holder: SecretHolder, slot: number): void
}

/**
 * Creates the audit log. Changes are written at level info and refusals at level warn. Look-ups are written at level
 * debug, since every request to a protected service causes one.
 */
export function createAuditLog(logger: Logger, metrics: Metrics): AuditLog {
  // pino serializes a child's bindings once, not for every line.
  const lines = (event: string): Logger => logger.child({ event: `token.${event}` })
  const issued = lines('issued')
  const redeemed = lines('redeemed')
  const answered = lines('answered')
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
    answered(decision) {
      metrics.answered.inc({ contract: decision.contract })
      answered.info(decision)
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
      const { contract, reason, injected } = decision
      metrics.refused.inc({ contract, reason, ...(injected ? { injected: 'true' } : {}) })
      refused.warn(decision)
    },
    secretUsed: (holder, slot) => metrics.secretsUsed.inc({ holder, slot }),
  }
}
