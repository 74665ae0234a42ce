import { createClient } from 'redis'

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
    commandOptions: { timeout: 800 }, // milliseconds
    socket: {
      connectTimeout: 2_000, // milliseconds
      reconnectStrategy: (attempts) => Math.min(50 * 2 ** attempts, 1_000), // milliseconds
    },
  })
  // Without a listener an error of the connection would end the process.
  client.on('error', onError)
  return client
}
