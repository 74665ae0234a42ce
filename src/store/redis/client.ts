import { createClient } from 'redis'
import { redisScripts } from './scripts.ts'
import type { RedisServer } from './server.ts'

export type RedisClient = ReturnType<typeof createRedisClient>

/**
 * Never connects. Its duplicates share its class: node-redis generates one for each new set of options of createClient,
 * which takes 19 to 260 ms of processor time, a duplicate 0.1 ms.
 */
const template = createClient({
  scripts: redisScripts,
  disableOfflineQueue: true,
  maintNotifications: 'disabled',
  // node-redis drops this time limit once a command is written; connection.ts limits the wait for the answer.
  commandOptions: { timeout: 0 },
})

/**
 * Creates a client for one connection. It never reconnects: connection.ts replaces it, because a client of node-redis
 * keeps a connection that answers READONLY, or nothing.
 *
 * @param onError receives every error of the connection. Without a listener, such an error would end the process.
 * @param keyPrefix precedes each key that a command names. It neither precedes patterns nor is removed from replies.
 */
export function createRedisClient({ url, ca }: RedisServer, onError: (error: Error) => void, keyPrefix = '') {
  const client = template.duplicate({
    url,
    keyPrefix,
    socket: { reconnectStrategy: false, ...(ca === undefined ? {} : { ca }) },
  })
  client.on('error', onError)
  client.on('connect', () => {
    // Destroyed while it connected: node-redis would keep the connection, and nothing would ever close it.
    if (!client.isOpen) client.destroy()
  })
  return client
}
