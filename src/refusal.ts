import type { RefusalReason } from './audit.ts'

interface RefusalDetails {
  readonly app?: string | undefined
  readonly parameters?: readonly string[]
  /** For the caller; each contract has its own words for the reasons that need none. */
  readonly message?: string
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
