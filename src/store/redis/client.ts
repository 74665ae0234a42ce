import { createClient } from 'redis'

/** How long an answer is waited for, in milliseconds. */
const STORE_TIMEOUT_MS = 800

export type RedisClient = ReturnType<typeof createRedisClient>

/**
 * A client that reconnects by itself, and answers at once while there is no connection: what needs the store fails fast
 * instead of queueing up.
 *
 * @param url `redis://` or `rediss://`.
 */
export function createRedisClient(url: string, onError: (error: Error) => void) {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    // promptly is what gives up; the client's own signal for each command is most of what garbage there is to collect.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: 2_000, // milliseconds
      reconnectStrategy: (attempts) => Math.min(50 * 2 ** attempts, 1_000), // milliseconds
    },
  })
  // Without a listener an error of the connection would end the process.
  client.on('error', onError)
  return client
}

/**
 * Gives up on a server that does not answer. The client's own time limit ends when a command has been sent, which is too early
 * for a server that hangs and for a network that swallows everything.
 */
export function withTimeout<Result>(step: () => Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Error(`Redis has not answered within ${STORE_TIMEOUT_MS} ms`))
    // An answer may be here already, unread: it counts, however late a busy process comes to its timers.
    const timer = setTimeout(() => setImmediate(giveUp), STORE_TIMEOUT_MS)
    step()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}

/** Finishes what is under way; gives up at once what has no connection, and soon what does not answer. */
export async function closeRedisClient(client: RedisClient): Promise<void> {
  if (client.isReady) await withTimeout(() => client.close()).catch(() => undefined)
  // Whatever close has come to: where it was given up, the connection is still there, though the client says that it is not open.
  client.destroy()
}
