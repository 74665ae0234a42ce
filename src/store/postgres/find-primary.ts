import { startDeadline } from '../deadline.ts'
import type { Connection, PostgresHost, Row, Statement } from './connection.ts'
import { isRefusal, RefusedError } from './refusal.ts'

/** A server that takes writes. */
export interface FoundServer {
  readonly host: PostgresHost
  /** Counts the promotions in the history of the server's data. */
  readonly timeline: number
  /** Sessions of this process in which the server still waits for a standby. */
  readonly waitingSessions: number
  readonly connection: Connection
}

const PROBE_TIMEOUT_MS = 800

export const PROBE: Statement = {
  name: 'probe',
  text: `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS "isReadOnly",
    CASE WHEN pg_is_in_recovery() THEN 0
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END AS timeline,
    (SELECT count(*) FROM pg_stat_activity
      WHERE application_name = current_setting('application_name') AND wait_event = 'SyncRep') AS "waitingSessions"`,
}

/** Returns the timeline that an answer to {@link PROBE} names. @throws Error where the server takes no writes. */
export function timelineOf(row: Row | undefined): number {
  if (row?.isReadOnly !== false) throw new Error('is a standby or read-only')
  return Number(row.timeline)
}

/**
 * Creates a search for the primary. It asks every server each time: after a split, several may take writes. The one
 * that was promoted last has the highest timeline. A timeline below one that was seen before is never accepted.
 *
 * @returns a function that resolves to the primary, with a new connection to it. It throws an Error that names the
 *   reason for each server, and RefusedError where only an operator can remove one of them.
 */
export function createPrimarySearch(
  hosts: readonly PostgresHost[],
  connectTo: (host: PostgresHost) => Promise<Connection>,
): () => Promise<FoundServer> {
  let highestTimeline = 0

  async function probe(host: PostgresHost): Promise<FoundServer> {
    const connection = await connectTo(host)
    const stop = startDeadline(PROBE_TIMEOUT_MS, { onExpiry: connection.close })
    try {
      const [row] = await connection.run(PROBE, [])
      return { host, timeline: timelineOf(row), waitingSessions: Number(row?.waitingSessions), connection }
    } catch (error) {
      connection.close()
      throw error
    } finally {
      stop()
    }
  }

  return async () => {
    const answers = await Promise.allSettled(hosts.map(probe))
    const found = answers.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value)
    const [best, ...others] = found.toSorted((a, b) => b.timeline - a.timeline)
    for (const { connection } of others) connection.close()
    if (best && best.timeline >= highestTimeline) {
      highestTimeline = best.timeline
      return best
    }
    best?.connection.close()
    const reasons = answers.map((answer, at) => {
      const reason = answer.status === 'rejected' ? messageOf(answer.reason) : 'was replaced by another server'
      return `${hosts[at]?.host}:${hosts[at]?.port}: ${reason}`
    })
    const text = `no PostgreSQL server takes writes (${reasons.join('; ')})`
    const isRefused = answers.some((answer) => answer.status === 'rejected' && isRefusal(answer.reason))
    throw isRefused ? new RefusedError(text) : new Error(text)
  }
}

/** Connecting to a name with several addresses fails with an error for each of them, and no message. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ')
  return error instanceof Error ? error.message : String(error)
}
