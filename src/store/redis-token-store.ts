import type { FidoOperation } from '../core/fido/operation.ts'
import { createGathering } from './gathering.ts'
import { closeRedisClient, promptly, type RedisClient } from './redis-client.ts'
import { defineRedisScript } from './redis-script.ts'
import { RETENTION, type Redemption, type TokenRecord, type TokenStore } from './token-store.ts'

const TOKEN = 'trimint:token:'

/** Holds nothing but the digest of the token that the session was made with. */
const SESSION = 'trimint:session:'

/**
 * KEYS: token and session of each record. ARGV, for each: lifetime in milliseconds, the token's digest, how many of its fields and
 * their values follow, then these. Answers for each whether it is new.
 */
const create = defineRedisScript(`
local answers, at = {}, 1
for number = 1, #KEYS, 2 do
  local token, session = KEYS[number], KEYS[number + 1]
  local lifetime, digest, fields = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  if redis.call('EXISTS', token) == 1 then
    answers[#answers + 1] = 0
  else
    redis.call('SET', session, digest, 'PX', lifetime)
    redis.call('HSET', token, unpack(ARGV, at + 3, at + 2 + fields))
    redis.call('PEXPIRE', token, lifetime)
    answers[#answers + 1] = 1
  end
  at = at + 3 + fields
end
return answers`)

/**
 * KEYS: the token. ARGV: operation, now, the time up to which what expired is forgotten. Answers the outcome, and the record's
 * fields and values where it is redeemed.
 */
const redeem = defineRedisScript(`
local expires, redeemed, revoked, operation =
  unpack(redis.call('HMGET', KEYS[1], 'expiresAt', 'redeemedAt', 'revokedAt', 'operation'))
if not expires or tonumber(expires) <= tonumber(ARGV[3]) then return { 'unknown' } end
if redeemed or revoked then return { 'spent' } end
if tonumber(expires) <= tonumber(ARGV[2]) then return { 'expired' } end
if operation ~= ARGV[1] then return { 'misdirected' } end
redis.call('HSET', KEYS[1], 'redeemedAt', ARGV[2])
return { 'redeemed', redis.call('HGETALL', KEYS[1]) }`)

/** KEYS: the token. ARGV: now, the time up to which what expired is forgotten. Answers whether there was one to revoke. */
const revoke = defineRedisScript(`
local expires = redis.call('HGET', KEYS[1], 'expiresAt')
if not expires or tonumber(expires) <= tonumber(ARGV[2]) then return 0 end
return redis.call('HSETNX', KEYS[1], 'revokedAt', ARGV[1])`)

/**
 * Keeps tokens in Redis: a hash for each, which goes away by itself. Each atomic step is one script, and every time in it is the
 * service's, never the server's: where the server's clock stands does not matter. The tokens that one turn of the event loop makes
 * are made by one script.
 */
export function createRedisTokenStore(client: RedisClient): TokenStore {
  const creations = createGathering((records: readonly TokenRecord[]) =>
    promptly(() => create(client, records.flatMap(keysOf), ...records.flatMap(toArguments)) as Promise<number[]>),
  )

  async function read(tokenDigest: string, now: number): Promise<TokenRecord | undefined> {
    const fields = await client.hGetAll(TOKEN + tokenDigest)
    // No field at all is how Redis says that there is no such key.
    if (!fields.expiresAt || Number(fields.expiresAt) <= now - RETENTION) return undefined
    return toRecord(tokenDigest, fields)
  }

  return {
    async create(record) {
      if ((await creations.take(record)) !== 1) throw new Error('there is a token of this digest already')
    },
    redeem: (tokenDigest, operation, now) =>
      promptly(async () => {
        const answer = await redeem(client, [TOKEN + tokenDigest], operation, now, now - RETENTION)
        const [outcome, flat] = answer as ['redeemed', string[]] | [Exclude<Redemption['outcome'], 'redeemed'>]
        return outcome === 'redeemed' ? { outcome, record: toRecord(tokenDigest, pair(flat)) } : { outcome }
      }),
    revoke: (tokenDigest, now) =>
      promptly(async () => (await revoke(client, [TOKEN + tokenDigest], now, now - RETENTION)) === 1),
    findByToken: (tokenDigest, now) => promptly(() => read(tokenDigest, now)),
    findBySession: (sessionDigest, now) =>
      promptly(async () => {
        const tokenDigest = await client.get(SESSION + sessionDigest)
        return tokenDigest ? read(tokenDigest, now) : undefined
      }),
    // Redis does it.
    sweep: async () => undefined,
    close() {
      creations.flush()
      return closeRedisClient(client)
    },
  }
}

const keysOf = ({ tokenDigest, sessionDigest }: TokenRecord): string[] => [TOKEN + tokenDigest, SESSION + sessionDigest]

function toArguments(record: TokenRecord): (string | number)[] {
  const fields = toFields(record)
  return [record.expiresAt + RETENTION - record.createdAt, record.tokenDigest, fields.length, ...fields]
}

/** Fields and values in turn, of a record as it is made; what is not there has no field. */
function toFields(record: TokenRecord): string[] {
  const { sessionDigest, operation, username, client, uafRequest } = record
  const fields = ['sessionDigest', sessionDigest, 'operation', operation, 'uafRequest', uafRequest]
  fields.push('createdAt', String(record.createdAt), 'expiresAt', String(record.expiresAt))
  fields.push('responseLifetime', String(record.responseLifetime))
  if (username !== undefined) fields.push('username', username)
  if (client !== undefined) fields.push('client', client)
  return fields
}

function pair(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? '']] : [])))
}

function toRecord(tokenDigest: string, fields: Record<string, string>): TokenRecord {
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text))
  return {
    tokenDigest,
    sessionDigest: fields.sessionDigest ?? '',
    operation: fields.operation as FidoOperation,
    username: fields.username,
    client: fields.client,
    uafRequest: fields.uafRequest ?? '',
    createdAt: Number(fields.createdAt),
    expiresAt: Number(fields.expiresAt),
    responseLifetime: Number(fields.responseLifetime),
    redeemedAt: number(fields.redeemedAt),
    revokedAt: number(fields.revokedAt),
  }
}
