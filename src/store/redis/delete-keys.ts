import type { RedisConnection } from './connection.ts'

const KEYS_PER_STEP = 1_000

/** Deletes every key of the database that begins with a prefix, those of other instances too. */
export async function deleteKeys(connection: RedisConnection, prefix: string): Promise<void> {
  const { keyPrefix } = connection
  let cursor = '0'
  do {
    cursor = await connection.run(async (client) => {
      const page = await client.scan(cursor, { MATCH: `${keyPrefix}${prefix}*`, COUNT: KEYS_PER_STEP })
      if (page.keys.length > 0) await client.del(page.keys.map((key) => key.slice(keyPrefix.length)))
      return page.cursor
    })
  } while (cursor !== '0')
}
