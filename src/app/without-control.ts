import type { Development } from '../development/api.ts'

function refuse(): never {
  throw new Error('no control API; expected control: true in the configuration')
}

/** Stands in the place of the control API where the configuration has none: every call throws. */
export const withoutControl: Development = {
  clock: { read: refuse, advance: refuse, set: refuse, freeze: refuse, unfreeze: refuse, reset: refuse },
  faults: { add: refuse, list: refuse, remove: refuse, clear: refuse },
  requests: refuse,
  waitForRequests: refuse,
  configure: refuse,
  sessions: refuse,
  failedAttempts: refuse,
  authenticator: { keys: [], register: refuse, authenticate: refuse, deregister: refuse, answer: refuse },
  outcomes: { set: refuse, list: refuse, clear: refuse },
  reset: refuse,
}
