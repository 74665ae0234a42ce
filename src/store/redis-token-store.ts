import type { FidoOperation } from '../core/fido/operation.ts'
import { createGathering } from './gathering.ts'
import { closeRedisClient, promptly, type RedisClient } from './redis-client.ts'
import { defineRedisScript } from './redis-script.ts'
import { RETENTION, type Redemption, type TokenRecord, type TokenStore } from './token-store.ts'

const TOKEN = 'trimint:token:'

/** Holds nothing but the digest of the token that the session was made with. */
const SESSION = 'trimint:session:'

/** What goes into a hash besides the session's digest, which the session's key holds already. */
const FIELDS = ['operation', 'uafRequest', 'createdAt', 'expiresAt', 'responseLifetime', 'username', 'client'] as const

/**
 * How many values there are for a record: how long it is kept, in milliseconds, and its fields, each behind a character, so that an empty
 * one differs from one that is not there.
 */
const VALUES = FIELDS.length + 1

/** KEYS: token and session of each record. ARGV: the values of each. Answers for each whether it is new. */
const create = defineRedisScript(`
local names = { '${FIELDS.join("', '")}' }
local answers = {}
for number = 0, #KEYS / 2 - 1 do
  local token, session, at = KEYS[2 * number + 1], KEYS[2 * number + 2], ${VALUES} * number + 1
  answers[number + 1] = 1 - redis.call('EXISTS', token)
  if answers[number + 1] == 1 then
    local fields = { 'sessionDigest', string.sub(session, ${SESSION.length + 1}) }
    for place, name in ipairs(names) do
      if ARGV[at + place] ~= '' then
        fields[#fields + 1] = name
        fields[#fields + 1] = string.sub(ARGV[at + place], 2)
      end
    end
    redis.call('SET', session, string.sub(token, ${TOKEN.length + 1}), 'PX', ARGV[at])
    redis.call('HSET', token, unpack(fields))
    redis.call('PEXPIRE', token, ARGV[at])
  end
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
    promptly(() => create(client, records.flatMap(keysOf), ...records.flatMap(toValues)) as Promise<number[]>),
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

function toValues(record: TokenRecord): (string | number)[] {
  const { expiresAt, createdAt } = record
  const fields = FIELDS.map((name) => (record[name] === undefined ? '' : `=${record[name]}`))
  return [expiresAt + RETENTION - createdAt, ...fields]
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
