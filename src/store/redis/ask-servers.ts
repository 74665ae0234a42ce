import { formatServer, type HostAndPort } from '../../core/ports/server-list.ts'
import { startDeadline } from '../deadline.ts'
import { createRedisClient, type RedisClient } from './client.ts'
import { isRefusal, RefusedError } from './refusal.ts'
import type { RedisServer } from './server.ts'

const ASK_TIMEOUT_MS = 500

/** Asks over a connection of its own. @throws Error after 500 ms, or that of the server. */
export async function askServer<Answer>(
  server: RedisServer,
  ask: (client: RedisClient) => Promise<Answer>,
): Promise<Answer> {
  // Its errors reach the caller through connect and sendCommand.
  const client = createRedisClient(server, () => undefined)
  const expired = Promise.withResolvers<never>()
  const stop = startDeadline(ASK_TIMEOUT_MS, {
    onExpiry: () => expired.reject(new Error(`has not answered within ${ASK_TIMEOUT_MS} ms`)),
  })
  try {
    const answer = client.connect().then(() => ask(client))
    return await Promise.race([answer, expired.promise])
  } finally {
    stop()
    client.destroy()
  }
}

/** What several servers answered to a question. */
export interface Answers<Answer> {
  readonly found: readonly Answer[]
  /** A sentence for each server without an answer. */
  readonly failures: readonly string[]
  /** Whether one of these servers refused the user. */
  readonly isRefused: boolean
}

/** Asks all servers at the same time. */
export async function askServers<Answer>(
  servers: readonly HostAndPort[],
  ask: (server: HostAndPort) => Promise<Answer>,
): Promise<Answers<Answer>> {
  const found: Answer[] = []
  const failures: string[] = []
  let isRefused = false
  const outcomes = await Promise.allSettled(servers.map(ask))
  for (const [at, server] of servers.entries()) {
    const outcome = outcomes[at]
    if (outcome?.status === 'fulfilled') found.push(outcome.value)
    if (outcome?.status !== 'rejected') continue
    failures.push(`${formatServer(server)}: ${messageOf(outcome.reason)}`)
    isRefused ||= isRefusal(outcome.reason)
  }
  return { found, failures, isRefused }
}

/** Returns an error that names the reason for each server without an answer. */
export function describeFailure(text: string, { failures, isRefused }: Answers<unknown>): Error {
  const message = failures.length === 0 ? text : `${text} (${failures.join('; ')})`
  return isRefused ? new RefusedError(message) : new Error(message)
}

/** Connecting to a name with several addresses fails with an error for each of them, and no message. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ')
  return error instanceof Error ? error.message : String(error)
}
