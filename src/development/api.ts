import type { Authenticator } from './authenticator/authenticator.ts'
import type { ClockControl } from './clock/part.ts'
import type { Changed, ConfigurationPatch } from './configuration/part.ts'
import type { FaultsControl } from './faults/part.ts'
import type { JournalControl } from './journal/part.ts'
import type { OutcomesControl } from './stand-ins/outcomes/part.ts'
import type { GuardCount } from './state/guard.ts'
import type { SessionView } from './state/sessions.ts'

/**
 * The control API without HTTP, for tests in the same process. Needs `control: true`, as in the demo; every member throws
 * without it.
 *
 * @see docs/development.md
 */
export interface Development extends JournalControl {
  readonly clock: ClockControl
  readonly faults: FaultsControl
  /** Patches the configuration in memory. @throws Error that tells every fault; then nothing has changed. */
  configure(patch: ConfigurationPatch): Promise<Changed>
  /** Returns the nevisFIDO sessions that were created since the start, the newest first. */
  sessions(): Promise<SessionView[]>
  /** Returns the counts of failed attempts, most failures first. */
  failedAttempts(): Promise<GuardCount[]>
  /** A phone with a FIDO UAF authenticator that uses this server. */
  readonly authenticator: Authenticator
  /** What the stand-ins for the vendors' other APIs answer. */
  readonly outcomes: OutcomesControl
  /** Restores the state of the start: all of it, or the parts with these names. */
  reset(options?: { readonly only?: readonly string[] }): Promise<void>
}
