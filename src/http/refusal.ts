import type { StoreUnavailableError } from '../core/availability.ts'
import type { RefusalReason } from '../observability/audit-log.ts'

interface RefusalDetails {
  readonly app?: string | undefined
  readonly account?: string | undefined
  readonly client?: string | undefined
  readonly resourceServer?: string | undefined
  readonly operation?: string | undefined
  readonly tokenId?: string | undefined
  readonly parameters?: readonly string[]
  /** For the log alone: what went wrong behind it. */
  readonly cause?: string
  /** For the caller; each contract has its own words for the reasons that need none. */
  readonly message?: string
  /** Milliseconds until another attempt makes sense. */
  readonly retryAfter?: number
}

/** A request that is refused. The contract's errors.ts turns the reason into its vendor's reply. */
export class Refusal extends Error {
  readonly reason: RefusalReason
  readonly details: RefusalDetails

  constructor(reason: RefusalReason, details: RefusalDetails = {}) {
    super(details.message ?? reason)
    this.reason = reason
    this.details = details
  }
}

/** How long a caller should wait for a store that is away, in milliseconds. */
const STORE_PAUSE = 1_000

/** How long a caller should wait for a process that is too busy, in milliseconds. */
export const OVERLOAD_PAUSE = 1_000

/** The value of a `Retry-After` header (RFC 9110 section 10.2.3): whole seconds, at least one. */
export function toRetryAfter(milliseconds: number): string {
  return String(Math.max(1, Math.ceil(milliseconds / 1000)))
}

/** A request that cannot be decided, because the store cannot be asked. */
export function storeUnavailableRefusal({ cause }: StoreUnavailableError): Refusal {
  const details = { retryAfter: STORE_PAUSE, cause: cause instanceof Error ? cause.message : String(cause) }
  return new Refusal('store_unavailable', details)
}
