import { RETENTION_MS } from '../../core/ports/retention.ts'
import type { TokenRecord, TokenStore } from '../../core/ports/token-store.ts'
import { createBatcher } from './batcher.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'
import type { NewToken } from './scripts.ts'
import { formatNewRecord, parseRecord, RECORD_KEY, SESSION_KEY } from './token-record.ts'

/**
 * Creates a store that keeps tokens in Redis, which expires them. Each atomic step is one script. All times come from
 * the caller, so the server's clock does not matter.
 */
export function createRedisTokenStore(client: RedisClient): TokenStore {
  const creations = createBatcher((tokens: readonly NewToken[]) => withTimeout(() => client.createTokens(tokens)))

  async function find(tokenDigest: string, now: number): Promise<TokenRecord | undefined> {
    const text = await client.get(RECORD_KEY + tokenDigest)
    const record = text === null ? undefined : parseRecord(tokenDigest, text)
    return record && record.expiresAt > now - RETENTION_MS ? record : undefined
  }

  return {
    async create(record) {
      const isNew = await creations.add({
        recordKey: RECORD_KEY + record.tokenDigest,
        sessionKey: SESSION_KEY + record.sessionDigest,
        keepMs: record.expiresAt + RETENTION_MS - record.createdAt,
        record: formatNewRecord(record),
      })
      if (!isNew) throw new Error('a token with this digest already exists')
    },
    redeem: (tokenDigest, operation, now) =>
      withTimeout(async () => {
        const reply = await client.redeemToken(RECORD_KEY + tokenDigest, now, now - RETENTION_MS, operation)
        if (reply.outcome !== 'redeemed') return reply
        return { outcome: reply.outcome, record: parseRecord(tokenDigest, reply.text) }
      }),
    revoke: (tokenDigest, now) =>
      withTimeout(() => client.revokeToken(RECORD_KEY + tokenDigest, now, now - RETENTION_MS)),
    findByToken: (tokenDigest, now) => withTimeout(() => find(tokenDigest, now)),
    findBySession: (sessionDigest, now) =>
      withTimeout(async () => {
        const tokenDigest = await client.get(SESSION_KEY + sessionDigest)
        return tokenDigest ? find(tokenDigest, now) : undefined
      }),
    // Redis expires the keys.
    sweep: async () => undefined,
    close() {
      creations.flush()
      return closeRedisClient(client)
    },
  }
}
