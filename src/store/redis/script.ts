import { createHash } from 'node:crypto'
import type { RedisClient } from './client.ts'

/** Runs a script on the keys that it touches. */
export type RedisScript = (client: RedisClient, keys: string[], ...values: (string | number)[]) => Promise<unknown>

/**
 * A script that is sent as its digest alone, and in full only to a server that does not know it (yet, or any more: after a
 * restart).
 */
export function defineRedisScript(text: string): RedisScript {
  // Redis names scripts by it: an address, not a protection.
  const digest = createHash('sha1').update(text).digest('hex')
  return async (client, keys, ...values) => {
    const input = [String(keys.length), ...keys, ...values.map(String)]
    try {
      return await client.sendCommand(['EVALSHA', digest, ...input])
    } catch (error) {
      // Nothing has been done then, so doing it now does it once.
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error
      return client.sendCommand(['EVAL', text, ...input])
    }
  }
}
