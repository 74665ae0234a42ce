import { UafError, type UafFailure } from './failure.ts'
import type { MetadataStatement } from './metadata.ts'
import { type Authenticator, fillsSet, type Policy } from './policy.ts'

/** What the configuration requires of responses. */
export interface UafRules {
  readonly appId: string
  /** Folded: final-challenge.ts. */
  readonly facets: ReadonlySet<string>
  readonly findStatement: (aaid: string) => MetadataStatement | undefined
  /** `basic` requires a statement and a certificate of the authenticator's vendor. */
  readonly attestation: 'surrogate' | 'basic'
}

/** An assertion that holds. */
export interface Held {
  readonly authenticator: Authenticator
}

/**
 * Returns the assertions that hold, if they are enough (U28).
 *
 * @throws UafError with the first failure, or `policy_mismatch`.
 */
export function requireEnough<Result extends Held>(
  results: readonly (Result | { readonly failure: UafFailure })[],
  policy: Policy,
): Result[] {
  const held = results.flatMap((result) => ('failure' in result ? [] : [result]))
  if (
    held.length > 0 &&
    fillsSet(
      held.map(({ authenticator }) => authenticator),
      policy,
    )
  )
    return held
  const failed = results.find((result) => 'failure' in result)
  throw new UafError(failed?.failure ?? 'policy_mismatch')
}
