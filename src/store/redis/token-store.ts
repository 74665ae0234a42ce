import { RETENTION_MS } from '../../core/ports/retention.ts'
import { keptUntil, type TokenRecord, type TokenStore } from '../../core/ports/token-store.ts'
import { createBatcher } from '../batcher.ts'
import type { RedisClient } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { parseCredential, selectCredentials, toChanges } from './credential-record.ts'
import { deleteKeys } from './delete-keys.ts'
import { RESERVE_KEY, withReserve } from './reserve.ts'
import type { AnonymousRecord, NewToken } from './scripts.ts'
import { formatNewRecord, parseRecord, RECORD_KEY, SESSION_KEY } from './token-record.ts'

/** The hash that counts records without a client. */
const ANONYMOUS_KEY = 'trimint:anonymous'

/**
 * Creates a store that keeps tokens in Redis, which expires them. Each atomic step is one script. All times come from
 * the caller, so the server's clock does not matter.
 */
export function createRedisTokenStore(connection: RedisConnection): TokenStore {
  const creations = createBatcher((tokens: readonly NewToken[]) =>
    connection.write((client) => createTokens(client, tokens)),
  )
  const counts = createBatcher((records: readonly AnonymousRecord[]) =>
    connection.run((client) => client.countAnonymous(ANONYMOUS_KEY, records)),
  )

  async function find(client: RedisClient, tokenDigest: string, now: number): Promise<TokenRecord | undefined> {
    const text = await client.get(RECORD_KEY + tokenDigest)
    const record = text === null ? undefined : parseRecord(tokenDigest, text)
    return record && keptUntil(record) > now ? record : undefined
  }

  return {
    async create(record, limit) {
      const text = formatNewRecord(record)
      // As long as for a redemption at the last moment.
      const keepMs = record.expiresAt + record.responseLifetime + RETENTION_MS - record.createdAt
      if (limit && !(await counts.add({ keepMs, bytes: Buffer.byteLength(text), limit }))) return false
      const isNew = await creations.add({
        recordKey: RECORD_KEY + record.tokenDigest,
        sessionKey: SESSION_KEY + record.sessionDigest,
        keepMs,
        record: text,
      })
      if (!isNew) throw new Error('a token with this digest already exists')
      return true
    },
    redeem: (tokenDigest, operation, now, removal) =>
      connection.write(async (client) => {
        const key = RECORD_KEY + tokenDigest
        const selected = removal && selectCredentials(removal)
        const redeem = () => client.redeemToken(key, now, now - RETENTION_MS, operation, selected)
        const reply = await withReserve(client, redeem)
        if (reply.outcome !== 'redeemed') return reply
        const { outcome, text, removed } = reply
        return { outcome, record: parseRecord(tokenDigest, text), removed: removed.map(parseCredential) }
      }),
    settle: (tokenDigest, { outcome, ...changes }, now) =>
      connection.write((client) => {
        const key = RECORD_KEY + tokenDigest
        const text = JSON.stringify(outcome)
        const changed = toChanges(changes, now)
        return withReserve(client, () => client.settleSession(key, now, now - RETENTION_MS, text, changed))
      }),
    revoke: (tokenDigest, now) =>
      connection.write((client) =>
        withReserve(client, () => client.revokeToken(RECORD_KEY + tokenDigest, now, now - RETENTION_MS)),
      ),
    findByToken: (tokenDigest, now) => connection.run((client) => find(client, tokenDigest, now)),
    findBySession: (sessionDigest, now) =>
      connection.run(async (client) => {
        const tokenDigest = await client.get(SESSION_KEY + sessionDigest)
        return tokenDigest ? find(client, tokenDigest, now) : undefined
      }),
    // Redis expires the keys.
    sweep: async () => undefined,
    async clear() {
      // An instance that creates a token meanwhile finds its count or starts a new one.
      for (const prefix of [RECORD_KEY, SESSION_KEY, ANONYMOUS_KEY]) await deleteKeys(connection, prefix)
    },
    close() {
      counts.flush()
      creations.flush()
      return connection.close()
    },
  }
}

async function createTokens(client: RedisClient, tokens: readonly NewToken[]): Promise<readonly boolean[]> {
  const create = () => client.createTokens(RESERVE_KEY, tokens)
  const replies = (await create()) ?? (await create())
  if (!replies) throw new Error('another client deletes trimint:reserve')
  return replies
}
