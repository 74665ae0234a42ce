import type { FidoOperation } from '../../core/fido/operation.ts'
import { RETENTION, type Redemption, type TokenRecord, type TokenStore } from '../../core/ports/token-store.ts'
import { createBatcher } from './batcher.ts'
import { closeRedisClient, type RedisClient, withTimeout } from './client.ts'
import { defineRedisScript } from './script.ts'

/**
 * Holds a record as one text: when it was redeemed, when it was revoked (`-` for never), when it expires, and its operation, each up to a
 * space; then JSON of what never changes. A hash would take more of Redis' time and memory, as a UAF request is too long for its
 * compact form.
 */
const RECORD = 'trimint:record:'

/** Holds nothing but the digest of the token that the session was made with. */
const SESSION = 'trimint:session:'

const NEVER = '-'

/**
 * KEYS: record and session of each token. ARGV: for each, how long it is kept in milliseconds, and its record. Answers for each whether
 * it is new.
 */
const create = defineRedisScript(`
local answers = {}
for at = 1, #KEYS, 2 do
  local record, session, lifetime = KEYS[at], KEYS[at + 1], ARGV[at]
  local isNew = redis.call('SET', record, ARGV[at + 1], 'PX', lifetime, 'NX')
  if isNew then redis.call('SET', session, string.sub(record, ${RECORD.length + 1}), 'PX', lifetime) end
  answers[#answers + 1] = isNew and 1 or 0
end
return answers`)

/** What both scripts below begin with: KEYS: the record. ARGV: now, the time up to which what expired is forgotten. */
const READ = `
local text = redis.call('GET', KEYS[1])
local redeemed, revoked, expires, operation, made = string.match(text or '', '^(%S+) (%S+) (%d+) (%a+) ({.*)$')
if text and not made then return redis.error_reply('ERR what stands at ' .. KEYS[1] .. ' is no record') end
local isKnown = text and tonumber(expires) > tonumber(ARGV[2])
local function write(redeemed, revoked)
  text = table.concat({ redeemed, revoked, expires, operation, made }, ' ')
  redis.call('SET', KEYS[1], text, 'KEEPTTL')
end`

/** ARGV besides: operation. Answers the outcome, and the record where it is redeemed. */
const redeem = defineRedisScript(`${READ}
if not isKnown then return { 'unknown' } end
if redeemed ~= '${NEVER}' or revoked ~= '${NEVER}' then return { 'spent' } end
if tonumber(expires) <= tonumber(ARGV[1]) then return { 'expired' } end
if operation ~= ARGV[3] then return { 'misdirected' } end
write(ARGV[1], revoked)
return { 'redeemed', text }`)

/** Answers whether there was one to revoke. */
const revoke = defineRedisScript(`${READ}
if not isKnown or revoked ~= '${NEVER}' then return 0 end
write(redeemed, ARGV[1])
return 1`)

/**
 * Keeps tokens in Redis, where they go away by themselves. Each atomic step is one script, and every time in it is the service's, never
 * the server's: where the server's clock stands does not matter. Tokens that are made at the same time are made by one script.
 */
export function createRedisTokenStore(client: RedisClient): TokenStore {
  const creations = createBatcher((records: readonly TokenRecord[]) =>
    withTimeout(() => create(client, records.flatMap(keysOf), ...records.flatMap(valuesOf)) as Promise<number[]>),
  )

  async function read(tokenDigest: string, now: number): Promise<TokenRecord | undefined> {
    const text = await client.get(RECORD + tokenDigest)
    const record = text === null ? undefined : readRecord(tokenDigest, text)
    return record && record.expiresAt > now - RETENTION ? record : undefined
  }

  return {
    async create(record) {
      if ((await creations.take(record)) !== 1) throw new Error('there is a token of this digest already')
    },
    redeem: (tokenDigest, operation, now) =>
      withTimeout(async () => {
        const answer = await redeem(client, [RECORD + tokenDigest], now, now - RETENTION, operation)
        const [outcome, text] = answer as ['redeemed', string] | [Exclude<Redemption['outcome'], 'redeemed'>]
        return outcome === 'redeemed' ? { outcome, record: readRecord(tokenDigest, text) } : { outcome }
      }),
    revoke: (tokenDigest, now) =>
      withTimeout(async () => (await revoke(client, [RECORD + tokenDigest], now, now - RETENTION)) === 1),
    findByToken: (tokenDigest, now) => withTimeout(() => read(tokenDigest, now)),
    findBySession: (sessionDigest, now) =>
      withTimeout(async () => {
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

const keysOf = ({ tokenDigest, sessionDigest }: TokenRecord): string[] => [
  RECORD + tokenDigest,
  SESSION + sessionDigest,
]

const valuesOf = (record: TokenRecord): (string | number)[] => [
  record.expiresAt + RETENTION - record.createdAt,
  writeRecord(record),
]

/** What of a record never changes, and is not said elsewhere. */
type Made = Pick<TokenRecord, 'sessionDigest' | 'username' | 'client' | 'uafRequest' | 'createdAt' | 'responseLifetime'>

/** A record as it is made, neither redeemed nor revoked. */
function writeRecord(record: TokenRecord): string {
  const { sessionDigest, username, client, uafRequest, createdAt, responseLifetime } = record
  const made: Made = { sessionDigest, username, client, uafRequest, createdAt, responseLifetime }
  return `${NEVER} ${NEVER} ${record.expiresAt} ${record.operation} ${JSON.stringify(made)}`
}

/** As the scripts read it. */
const RECORD_PATTERN = /^(\S+) (\S+) (\d+) ([A-Za-z]+) (\{.*)$/s

function readRecord(tokenDigest: string, text: string): TokenRecord {
  const [, redeemedAt, revokedAt, expiresAt, operation, json] = RECORD_PATTERN.exec(text) ?? []
  if (json === undefined) throw new Error(`what stands at ${RECORD}${tokenDigest} is no record`)
  const made = JSON.parse(json) as Made
  return {
    tokenDigest,
    sessionDigest: made.sessionDigest,
    operation: operation as FidoOperation,
    username: made.username,
    client: made.client,
    uafRequest: made.uafRequest,
    createdAt: made.createdAt,
    expiresAt: Number(expiresAt),
    responseLifetime: made.responseLifetime,
    redeemedAt: readTime(redeemedAt),
    revokedAt: readTime(revokedAt),
  }
}

const readTime = (text: string | undefined): number | undefined => (text === NEVER ? undefined : Number(text))
