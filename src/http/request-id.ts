import type { IncomingMessage } from 'node:http'
import type { Randomness } from '../core/randomness.ts'

/**
 * Matches the ids of callers and proxies (UUIDs, ULIDs, trace ids), and nothing that could forge a log line or a
 * header.
 */
const ACCEPTABLE = /^[A-Za-z0-9._:=+/@-]{1,128}$/

/** Returns a function that reads `X-Request-Id`, and draws a new id if it is absent or unacceptable. */
export function createRequestIds(randomness: Randomness): (request: Pick<IncomingMessage, 'headers'>) => string {
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && ACCEPTABLE.test(given) ? given : randomness.uuid()
  }
}
