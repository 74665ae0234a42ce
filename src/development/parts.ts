import type { Development } from './api.ts'
import { createAuthenticatorPart } from './authenticator/part.ts'
import { createClockPart } from './clock/part.ts'
import type { SettableClock } from './clock/settable-clock.ts'
import type { Timers } from './clock/timers.ts'
import { createConfigurationPart } from './configuration/part.ts'
import { createSecretTest } from './configuration/secrets.ts'
import { createConsolePart } from './console/part.ts'
import { createFaultsPart } from './faults/part.ts'
import type { Journal } from './journal/journal.ts'
import { createJournalPart } from './journal/part.ts'
import type { Part, PartDependencies } from './part.ts'
import { createOutcomesPart } from './stand-ins/outcomes/part.ts'
import { createStandInsPart } from './stand-ins/part.ts'
import { createGuardPart } from './state/guard.ts'
import { createResetPart } from './state/reset.ts'
import { createSessionsPart } from './state/sessions.ts'

export interface PartsDependencies extends PartDependencies {
  readonly settableClock: SettableClock
  readonly timers: Timers
  readonly journal: Journal
}

/**
 * Creates every part of the control API. A new part has one line among the parts, which serves its routes and resets it,
 * and one in `api` for tests in the same process (api.ts).
 */
export function createParts(dependencies: PartsDependencies) {
  const { settableClock, timers, journal, running } = dependencies
  const clock = createClockPart(dependencies, settableClock, timers)
  const faults = createFaultsPart(dependencies)
  const requests = createJournalPart(
    dependencies,
    journal,
    createSecretTest(() => running().configuration()),
  )
  const configuration = createConfigurationPart(dependencies)
  const sessions = createSessionsPart(dependencies)
  const guard = createGuardPart(dependencies)
  const authenticator = createAuthenticatorPart(dependencies, (milliseconds) => clock.api.advance(`${milliseconds}ms`))
  const outcomes = createOutcomesPart(dependencies)
  const standIns = createStandInsPart(dependencies, outcomes.outcomes)
  const resettable: Part[] = [
    clock,
    faults,
    requests,
    configuration,
    sessions,
    guard,
    authenticator,
    outcomes,
    standIns,
  ]
  const reset = createResetPart(resettable)

  const api: Development = {
    clock: clock.api,
    faults: faults.api,
    ...requests.api,
    configure: configuration.configure,
    sessions: sessions.list,
    failedAttempts: guard.list,
    authenticator: authenticator.api,
    outcomes: outcomes.api,
    reset: reset.reset,
  }
  const page = createConsolePart(dependencies, standIns.viewUse)
  return { all: [...resettable, reset, page], api, faults, sessions, standIns }
}
