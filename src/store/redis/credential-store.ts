import type { Credential, CredentialStore } from '../../core/ports/credential-store.ts'
import { keyOf } from '../../core/uaf/aaid.ts'
import type { RedisClient } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { formatIdentity, keysOfUser, parseCredential } from './credential-record.ts'

const { credentials: CREDENTIALS_KEY } = keysOfUser('')

/** How many keys one step of a listing reads. */
const PAGE_SIZE = 1_000

/** Creates a store that keeps registered keys in Redis, which does not expire them. */
export function createRedisCredentialStore(connection: RedisConnection): CredentialStore {
  return {
    find: (names) => connection.run((client) => read(client, names.map(keyOf))),
    findByUser: (username) =>
      connection.run(async (client) => {
        const credentials = await read(client, await client.zRange(keysOfUser(username).ofUser, 0, -1))
        // Another user may have registered one of them since its name was read.
        return credentials.filter((credential) => credential.username === username)
      }),
    async list(limit) {
      const credentials: Credential[] = []
      let cursor = '0'
      do {
        const page = await connection.run((client) => client.hScan(CREDENTIALS_KEY, cursor, { COUNT: PAGE_SIZE }))
        credentials.push(...page.entries.map(({ value }) => parseCredential(value)))
        cursor = page.cursor
      } while (cursor !== '0' && credentials.length < limit)
      return credentials.slice(0, limit)
    },
    remove: (name) => connection.write((client) => remove(client, keyOf(name))),
    close: () => connection.close(),
  }
}

async function read(client: RedisClient, fields: string[]): Promise<Credential[]> {
  if (fields.length === 0) return []
  const texts = await client.hmGet(CREDENTIALS_KEY, fields)
  return texts.flatMap((text) => (text === null ? [] : [parseCredential(text)]))
}

async function remove(client: RedisClient, name: string): Promise<boolean> {
  const [credential] = await read(client, [name])
  if (!credential) return false
  const isRemoved = await client.removeCredential(keysOfUser(credential.username), name, formatIdentity(credential))
  // It was used or registered anew meanwhile.
  return isRemoved || remove(client, name)
}
