import { expect, test } from 'vitest'
import type { RedisClient } from '../../../src/store/redis/client.ts'
import type { RedisConnection } from '../../../src/store/redis/connection.ts'
import { deleteKeys } from '../../../src/store/redis/delete-keys.ts'

/** A connection whose scan returns these pages, the cursor of each being its position. */
function connectTo(pages: readonly (readonly string[])[], keyPrefix: string) {
  const sent: unknown[][] = []
  const client = {
    async scan(cursor: string, options: unknown) {
      sent.push(['SCAN', cursor, options])
      const next = Number(cursor) + 1
      return { cursor: String(next % pages.length), keys: [...(pages[Number(cursor)] ?? [])] }
    },
    del: async (keys: string[]) => void sent.push(['DEL', ...keys]),
  } as unknown as RedisClient
  const run = (step: (client: RedisClient, connectionId: number) => Promise<unknown>) => step(client, 1)
  return { connection: { run, keyPrefix } as unknown as RedisConnection, sent }
}

test('deletes the keys of every page, and sends nothing for an empty page', async () => {
  const { connection, sent } = connectTo([['a:1', 'a:2'], [], ['a:3']], '')
  await deleteKeys(connection, 'a:')
  const options = { MATCH: 'a:*', COUNT: 1_000 }
  expect(sent).toEqual([
    ['SCAN', '0', options],
    ['DEL', 'a:1', 'a:2'],
    ['SCAN', '1', options],
    ['SCAN', '2', options],
    ['DEL', 'a:3'],
  ])
})

test('looks for keys with the prefix of a Cluster, and leaves adding it to the client', async () => {
  const { connection, sent } = connectTo([['{trimint}a:1']], '{trimint}')
  await deleteKeys(connection, 'a:')
  expect(sent).toEqual([
    ['SCAN', '0', { MATCH: '{trimint}a:*', COUNT: 1_000 }],
    ['DEL', 'a:1'],
  ])
})
