import type { IncomingMessage } from 'node:http'
import type { Randomness } from '../core/randomness.ts'

/** What callers and proxies use as ids (UUIDs, ULIDs, trace ids); nothing that could forge a log line or a header. */
const ACCEPTABLE = /^[A-Za-z0-9._:=+/@-]{1,128}$/

/** The caller's `X-Request-Id` where it is one, a new id otherwise. */
export function createRequestIds(randomness: Randomness): (request: Pick<IncomingMessage, 'headers'>) => string {
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && ACCEPTABLE.test(given) ? given : randomness.uuid()
  }
}
