import { type CommandParser, defineScript } from 'redis'
import type { FidoOperation } from '../../core/fido/operation.ts'
import { MAX_KEYS_PER_USER } from '../../core/ports/credential-store.ts'
import {
  type AnonymousLimit,
  CLOCK_LEEWAY_MS,
  type Redemption,
  type SettlementResult,
} from '../../core/ports/token-store.ts'
import type { ChangedCredentials, CredentialKeys, SelectedCredentials } from './credential-record.ts'
import { RESERVE_BYTES } from './reserve.ts'
import { NEVER, RECORD_KEY } from './token-record.ts'

/**
 * Loads a record. KEYS: the record. ARGV: now; records whose retention began at the second time or before count as
 * unknown.
 *
 * The scripts that begin with it change only the first two fields and the outcome (`token-record.ts`).
 */
const LOAD_RECORD = `
local text = redis.call('GET', KEYS[1])
local redeemed, revoked, expires, operation, fields, outcome =
  string.match(text or '', '^(%S+) (%S+) (%d+) (%a+) ({[^\\n]*)\\n?(.*)$')
if text and not fields then return redis.error_reply('ERR the value of ' .. KEYS[1] .. ' is not a token record') end
local function isKept()
  local lifetime = string.match(fields, '"responseLifetime":(%d+)}$')
  local respondBy = redeemed ~= '${NEVER}' and tonumber(redeemed) + tonumber(lifetime) or 0
  return math.max(tonumber(expires), respondBy) > tonumber(ARGV[2])
end
local isKnown = text and isKept()
local function write(redeemed, revoked, outcome)
  text = table.concat({ redeemed, revoked, expires, operation, fields }, ' ')
  if outcome ~= '' then text = text .. '\\n' .. outcome end
  redis.call('SET', KEYS[1], text, 'KEEPTTL')
end`

type RedemptionReply = ['redeemed', string, ...string[]] | [Exclude<Redemption['outcome'], 'redeemed'>]

/** A token to create: its two keys, how long Redis keeps them in milliseconds, and the record's text. */
export interface NewToken {
  readonly recordKey: string
  readonly sessionKey: string
  readonly keepMs: number
  readonly record: string
}

/** A record without a client that is to be counted. */
export interface AnonymousRecord {
  /** How long Redis keeps it, in milliseconds. */
  readonly keepMs: number
  readonly bytes: number
  readonly limit: AnonymousLimit
}

/** A record counts until the end of the period in which it expires. */
const ANONYMOUS_PERIOD_MS = 60_000

/** The keys of the revocations: revocation-store.ts. */
export interface RevocationKeys {
  readonly stream: string
  readonly byExpiry: string
  readonly bySubject: string
}

/**
 * The atomic steps of all stores. node-redis sends a script as its digest, and in full only after a NOSCRIPT reply,
 * which means that nothing has been done.
 */
export const redisScripts = {
  /** Counts a failure; a count that has expired starts again. Replies failures and expiry. */
  addFailure: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
local expires = tonumber(redis.call('HGET', KEYS[1], 'expires') or '0')
if expires <= tonumber(ARGV[1]) then
  expires = tonumber(ARGV[2])
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'expires', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] - ARGV[1])
end
return { redis.call('HINCRBY', KEYS[1], 'failures', 1), tostring(expires) }`,
    parseCommand(parser: CommandParser, key: string, now: number, expires: number) {
      parser.pushKey(key)
      parser.push(`${now}`, `${expires}`)
    },
    transformReply: ([failures, expires]: [number, string]) => ({ failures, expires: Number(expires) }),
  }),

  /** Changes the expiry of a running count. Replies whether there is one. */
  extendFailures: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
if tonumber(redis.call('HGET', KEYS[1], 'expires') or '0') <= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] - ARGV[1])
return 1`,
    parseCommand(parser: CommandParser, key: string, now: number, expires: number) {
      parser.pushKey(key)
      parser.push(`${now}`, `${expires}`)
    },
    transformReply: isOne,
  }),

  /** Deletes a count below a limit. Replies its failures; 0 where it deleted none. */
  removeFailures: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
if failures >= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
return failures`,
    parseCommand(parser: CommandParser, key: string, limit: number) {
      parser.pushKey(key)
      parser.push(`${limit}`)
    },
    transformReply: (failures: number) => failures,
  }),

  /** Takes failures out of a count below a limit. Replies whether none is left. */
  subtractFailures: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
if failures >= tonumber(ARGV[2]) then return 0 end
if failures > tonumber(ARGV[1]) then
  redis.call('HINCRBY', KEYS[1], 'failures', -ARGV[1])
  return 0
end
redis.call('DEL', KEYS[1])
return 1`,
    parseCommand(parser: CommandParser, key: string, failures: number, limit: number) {
      parser.pushKey(key)
      parser.push(`${failures}`, `${limit}`)
    },
    transformReply: isOne,
  }),

  /**
   * Appends a revocation to the stream and to its indexes, and deletes the subject's entry before it. The new entry has the later of
   * both times.
   */
  addRevocation: defineScript({
    NUMBER_OF_KEYS: 3,
    SCRIPT: `
local issuedUntil, expires = ARGV[2], ARGV[3]
local previous = redis.call('HGET', KEYS[3], ARGV[1])
local entry = previous and redis.call('XRANGE', KEYS[1], previous, previous)[1]
if entry then
  if tonumber(entry[2][4]) > tonumber(issuedUntil) then issuedUntil = entry[2][4] end
  if tonumber(entry[2][6]) > tonumber(expires) then expires = entry[2][6] end
end
local id = redis.call('XADD', KEYS[1], '*', 'subject', ARGV[1], 'issuedUntil', issuedUntil, 'expires', expires)
redis.call('ZADD', KEYS[2], expires, id)
redis.call('HSET', KEYS[3], ARGV[1], id)
if previous then
  redis.call('XDEL', KEYS[1], previous)
  redis.call('ZREM', KEYS[2], previous)
end`,
    parseCommand(parser: CommandParser, keys: RevocationKeys, subject: string, issuedUntil: number, expires: number) {
      parser.pushKeys([keys.stream, keys.byExpiry, keys.bySubject])
      parser.push(subject, `${issuedUntil}`, `${expires}`)
    },
    transformReply: ignore,
  }),

  /** Deletes up to so many revocations that expired at a time or before. Replies how many. */
  sweepRevocations: defineScript({
    NUMBER_OF_KEYS: 3,
    SCRIPT: `
local expired = redis.call('ZRANGE', KEYS[2], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(expired) do
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  local subject = entry and entry[2][2]
  if subject and redis.call('HGET', KEYS[3], subject) == id then redis.call('HDEL', KEYS[3], subject) end
  redis.call('XDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
return #expired`,
    parseCommand(parser: CommandParser, keys: RevocationKeys, time: number, limit: number) {
      parser.pushKeys([keys.stream, keys.byExpiry, keys.bySubject])
      parser.push(`${time}`, `${limit}`)
    },
    transformReply: (deleted: number) => deleted,
  }),

  /** Deletes announcements that have expired, and keys that no announcement holds and that were last needed until the second time. */
  sweepInstances: defineScript({
    NUMBER_OF_KEYS: 2,
    SCRIPT: `
local held = {}
for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
  local announcement = cjson.decode(text)
  if announcement.expires <= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], announcement.id)
  else
    for _, key in ipairs(announcement.keys) do held[key] = true end
  end
end
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', ARGV[2], 'BYSCORE')) do
  if not held[key] then redis.call('ZREM', KEYS[2], key) end
end`,
    parseCommand(parser: CommandParser, announcements: string, signingKeys: string, now: number, neededUntil: number) {
      parser.pushKeys([announcements, signingKeys])
      parser.push(`${now}`, `${neededUntil}`)
    },
    transformReply: ignore,
  }),

  /**
   * Creates tokens with their sessions. Replies for each whether its digest is new. Without the reserve (reserve.ts) it
   * creates only the reserve, which fails where memory is short, and replies nil.
   */
  createTokens: defineScript({
    SCRIPT: `
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SETRANGE', KEYS[1], ${RESERVE_BYTES - 1}, '-')
  return false
end
local replies = {}
for at = 2, #KEYS, 2 do
  local record, session, keepMs = KEYS[at], KEYS[at + 1], ARGV[at - 1]
  local isNew = redis.call('SET', record, ARGV[at], 'PX', keepMs, 'NX')
  -- A prefix may precede the name (cluster.ts).
  local _, last = string.find(record, '${RECORD_KEY}', 1, true)
  if isNew then redis.call('SET', session, string.sub(record, last + 1), 'PX', keepMs) end
  replies[#replies + 1] = isNew and 1 or 0
end
return replies`,
    parseCommand(parser: CommandParser, reserveKey: string, tokens: readonly NewToken[]) {
      parser.pushKeysLength([reserveKey, ...tokens.flatMap(({ recordKey, sessionKey }) => [recordKey, sessionKey])])
      for (const { keepMs, record } of tokens) parser.push(`${keepMs}`, record)
    },
    transformReply: (replies: number[] | null) => replies?.map(isOne),
  }),

  /**
   * Counts records without a client against their limits: in a hash of both totals, and of the records and bytes that
   * Redis expires in each period of its clock. Replies for each record whether there is room for it.
   */
  countAnonymous: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
local time = redis.call('TIME')
local now = time[1] * 1000
local function periodOf(milliseconds) return math.floor(milliseconds / ${ANONYMOUS_PERIOD_MS}) end
local function read(field)
  local records, bytes = string.match(redis.call('HGET', KEYS[1], field) or '0 0', '^(%d+) (%d+)$')
  return { records = tonumber(records), bytes = tonumber(bytes) }
end
local function write(field, count)
  redis.call('HSET', KEYS[1], field, string.format('%d %d', count.records, count.bytes))
end
local total = read('total')
local current = periodOf(now)
if redis.call('HGET', KEYS[1], 'current') ~= tostring(current) then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local period = tonumber(field)
    if period and period < current then
      local expired = read(field)
      total.records = total.records - expired.records
      total.bytes = total.bytes - expired.bytes
      redis.call('HDEL', KEYS[1], field)
    end
  end
  redis.call('HSET', KEYS[1], 'current', current)
end
local replies, added = {}, {}
for at = 1, #ARGV, 4 do
  local keepMs, bytes = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local fits = total.records < tonumber(ARGV[at + 2]) and total.bytes + bytes <= tonumber(ARGV[at + 3])
  if fits then
    local field = tostring(periodOf(now + keepMs))
    local count = added[field] or read(field)
    added[field] = { records = count.records + 1, bytes = count.bytes + bytes }
    total = { records = total.records + 1, bytes = total.bytes + bytes }
  end
  replies[#replies + 1] = fits and 1 or 0
end
for field, count in pairs(added) do write(field, count) end
write('total', total)
return replies`,
    parseCommand(parser: CommandParser, key: string, records: readonly AnonymousRecord[]) {
      parser.pushKey(key)
      for (const { keepMs, bytes, limit } of records) {
        parser.push(`${keepMs}`, `${bytes}`, `${limit.maxRecords}`, `${limit.maxBytes}`)
      }
    },
    transformReply: (replies: number[]) => replies.map(isOne),
  }),

  /**
   * Redeems a token, and deletes keys of its user: those that any pair of AAID and key id selects (token-store.ts).
   * Replies the outcome. Where the token is redeemed, the record's text and those of the deleted keys follow. No text
   * within the record's JSON contains `"createdAt":`, because JSON escapes its quotes.
   */
  redeemToken: defineScript({
    SCRIPT: `${LOAD_RECORD}
if not isKnown then return { 'unknown' } end
if redeemed ~= '${NEVER}' or revoked ~= '${NEVER}' then return { 'spent' } end
if tonumber(expires) <= tonumber(ARGV[1]) then return { 'expired' } end
local _, at = string.find(fields, '"createdAt":', 1, true)
if tonumber(string.match(fields, '^%d+', at + 1)) > tonumber(ARGV[1]) + ${CLOCK_LEEWAY_MS} then return { 'premature' } end
if operation ~= ARGV[3] then return { 'misdirected' } end
write(ARGV[1], revoked, outcome)
local reply = { 'redeemed', text }
if #ARGV == 3 then return reply end
local selected = {}
for at = 4, #ARGV, 2 do selected[ARGV[at] .. ' ' .. ARGV[at + 1]] = true end
for _, name in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local aaid, keyId = string.match(name, '^(%S+) (%S+)$')
  if selected[name] or selected[aaid .. ' '] or selected[' ' .. keyId] or selected[' '] then
    reply[#reply + 1] = redis.call('HGET', KEYS[2], name)
    redis.call('HDEL', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
  end
end
return reply`,
    parseCommand(
      parser: CommandParser,
      key: string,
      now: number,
      forgottenUntil: number,
      operation: FidoOperation,
      removal?: SelectedCredentials,
    ) {
      parser.pushKeysLength(removal ? [key, removal.keys.credentials, removal.keys.ofUser] : [key])
      parser.push(`${now}`, `${forgottenUntil}`, operation, ...(removal?.selectors ?? []))
    },
    transformReply: ([outcome, text = '', ...removed]: RedemptionReply) =>
      outcome === 'redeemed' ? { outcome, text, removed } : { outcome },
  }),

  /**
   * Settles a session. Each change of a key has its name, its text as it was read without the time of its last use
   * (empty for a new one), and its new text. Replies the result.
   */
  settleSession: defineScript({
    SCRIPT: `${LOAD_RECORD}
if not isKnown or redeemed == '${NEVER}' or revoked ~= '${NEVER}' or outcome ~= '' then return 'ended' end
local new = 0
for at = 4, #ARGV, 3 do
  local stored = redis.call('HGET', KEYS[2], ARGV[at])
  local identity = stored and string.match(stored, '^%S+ (.*)$') or ''
  if identity ~= ARGV[at + 1] then return 'conflict' end
  if identity == '' then new = new + 1 end
end
if new > 0 and #redis.call('ZRANGE', KEYS[3], 0, -1) + new > ${MAX_KEYS_PER_USER} then return 'full' end
for at = 4, #ARGV, 3 do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 2])
  if ARGV[at + 1] == '' then redis.call('ZADD', KEYS[3], ARGV[1], ARGV[at]) end
end
write(redeemed, revoked, ARGV[3])
return 'settled'`,
    parseCommand(
      parser: CommandParser,
      key: string,
      now: number,
      forgottenUntil: number,
      outcome: string,
      changes?: ChangedCredentials,
    ) {
      parser.pushKeysLength(changes ? [key, changes.keys.credentials, changes.keys.ofUser] : [key])
      parser.push(`${now}`, `${forgottenUntil}`, outcome, ...(changes?.changes ?? []))
    },
    transformReply: (result: SettlementResult) => result,
  }),

  /** Deletes a key that has not changed since it was read, but for its last use. Replies whether it did. */
  removeCredential: defineScript({
    NUMBER_OF_KEYS: 2,
    SCRIPT: `
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or string.match(stored, '^%S+ (.*)$') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1`,
    parseCommand(parser: CommandParser, keys: CredentialKeys, name: string, identity: string) {
      parser.pushKeys([keys.credentials, keys.ofUser])
      parser.push(name, identity)
    },
    transformReply: isOne,
  }),

  /** Replies whether there was a token to revoke. */
  revokeToken: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `${LOAD_RECORD}
if not isKnown or revoked ~= '${NEVER}' then return 0 end
write(redeemed, ARGV[1], outcome)
return 1`,
    parseCommand(parser: CommandParser, key: string, now: number, forgottenUntil: number) {
      parser.pushKey(key)
      parser.push(`${now}`, `${forgottenUntil}`)
    },
    transformReply: isOne,
  }),

  /** Counts a use below a limit. Replies the count, or nil where the limit was reached. */
  countUse: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used >= tonumber(ARGV[1]) then return false end
if used == 0 then redis.call('SET', KEYS[1], '1', 'PX', ARGV[2]) else redis.call('INCR', KEYS[1]) end
return used + 1`,
    parseCommand(parser: CommandParser, key: string, limit: number, keepMs: number) {
      parser.pushKey(key)
      parser.push(`${limit}`, `${keepMs}`)
    },
    transformReply: (used: number | null) => used ?? undefined,
  }),

  /** Notes a use unless a later one is noted. */
  noteUse: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`,
    parseCommand(parser: CommandParser, key: string, usedAt: number, keepMs: number) {
      parser.pushKey(key)
      parser.push(`${usedAt}`, `${keepMs}`)
    },
    transformReply: ignore,
  }),
}

function isOne(reply: number): boolean {
  return reply === 1
}

function ignore(): void {}
