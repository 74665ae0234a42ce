import type { DatabaseSync } from 'node:sqlite'
import type { Call, Operations } from './calls.ts'
import { prepareCredentialWrites } from './credential-store.ts'
import { prepareFailedAttemptWrites } from './failed-attempt-store.ts'
import { prepareInstanceWrites } from './instance-store.ts'
import { prepareRevocationWrites } from './revocation-store.ts'
import { prepareTokenOperations } from './token-store.ts'
import { prepareUsageWrites } from './usage-store.ts'

/** Prepares the statements of every store on the writing connection, and returns a function that performs a call. */
export function prepareOperations(database: DatabaseSync): (call: Call) => unknown {
  const stores: Record<string, Operations> = {
    failures: prepareFailedAttemptWrites(database),
    tokens: prepareTokenOperations(database),
    revocations: prepareRevocationWrites(database),
    uses: prepareUsageWrites(database),
    replicas: prepareInstanceWrites(database),
    credentials: prepareCredentialWrites(database),
  }
  return ([store, operation, ...values]) => stores[store]?.[operation]?.(...(values as never[]))
}
