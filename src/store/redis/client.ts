import { createClient } from 'redis'
import { redisScripts } from './scripts.ts'

/** A step that Redis has not answered by then fails. */
const STORE_TIMEOUT_MS = 800
const CONNECT_TIMEOUT_MS = 2_000
const MIN_RECONNECT_DELAY_MS = 50
const MAX_RECONNECT_DELAY_MS = 1_000

export type RedisClient = ReturnType<typeof createRedisClient>

/**
 * Creates a client that reconnects by itself. Without a connection its commands reject at once instead of queueing up.
 *
 * @param url `redis://` or `rediss://`.
 * @param onError receives every error of the connection. Without a listener, such an error would end the process.
 */
export function createRedisClient(url: string, onError: (error: Error) => void) {
  const client = createClient({
    url,
    scripts: redisScripts,
    disableOfflineQueue: true,
    // node-redis drops this time limit once a command is written; withTimeout limits the wait for the answer.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectStrategy: (attempts) => Math.min(MIN_RECONNECT_DELAY_MS * 2 ** attempts, MAX_RECONNECT_DELAY_MS),
    },
  })
  client.on('error', onError)
  return client
}

/**
 * Rejects when a step takes longer than 800 ms. Redis may hang, or a network may drop packets, after a command has been
 * written.
 *
 * @throws Error on timeout, or the step's error.
 */
export function withTimeout<Result>(step: () => Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`Redis has not answered within ${STORE_TIMEOUT_MS} ms`))
    // In a busy process the timer may fire before an answer that has arrived is read; setImmediate reads it first.
    const timer = setTimeout(() => setImmediate(fail), STORE_TIMEOUT_MS)
    step()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}

/** Closes a client after its pending commands, or after 800 ms. Without a connection it closes at once. */
export async function closeRedisClient(client: RedisClient): Promise<void> {
  if (client.isReady) await withTimeout(() => client.close()).catch(() => undefined)
  // After a close that timed out the connection is still open, although the client reports that it is not.
  client.destroy()
}
