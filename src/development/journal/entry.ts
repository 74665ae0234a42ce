import type { IncomingHttpHeaders } from 'node:http'
import { contractOf, pathOf } from '../paths.ts'
import { readSignedToken } from '../signed-token.ts'
import { type IsSecret, redactBody, redactHeaders, redactPairs, redactPath } from './redact.ts'
import type { JournalRecord } from './schema.ts'

/** The decision about a request, as the audit log has it. */
export interface Decided {
  readonly outcome: JournalRecord['outcome']
  readonly contract: NonNullable<JournalRecord['contract']>
  readonly reason?: JournalRecord['reason'] | undefined
  readonly tokenId?: string | undefined
  readonly app?: string | undefined
  readonly account?: string | undefined
  readonly client?: string | undefined
  readonly resourceServer?: string | undefined
  readonly operation?: string | undefined
  readonly parameters?: readonly string[] | undefined
  readonly explanation?: string | undefined
}

/** A request as the journal keeps it: references only, so that recording costs little. Redacted when it is read. */
export interface Entry {
  /** Increases by one with each request of this process. */
  readonly sequence: number
  /** The machine's time, which orders the entries of all processes. */
  readonly systemTime: number
  /** Trimint's time. */
  readonly time: number
  readonly id: string
  readonly address: string | undefined
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
  readonly status: number
  readonly replyHeaders: Readonly<Record<string, unknown>>
  readonly durationMs: number
  readonly decided: Decided | undefined
  readonly injectedBy: string | undefined
}

/** Beyond it, a path is cut: each of its segments is compared with the secrets. */
const MAX_PATH_LENGTH = 1_000

/** Returns an entry without secrets (L15, L4). */
export function toRecord(entry: Entry, isSecret: IsSecret): JournalRecord {
  const { url, headers, body, replyHeaders, decided } = entry
  const query = url.slice(pathOf(url).length + 1)
  const caller = decided?.app ?? decided?.client ?? decided?.resourceServer
  const token = readToken(headers)
  return {
    ...summarise(entry, isSecret),
    ...(query ? { query: redactPairs(new URLSearchParams(query), isSecret) } : {}),
    headers: redactHeaders(headers, isSecret, caller),
    ...(body === undefined || body === null ? {} : { body: redactBody(body, isSecret) }),
    replyHeaders: redactHeaders(replyHeaders, isSecret, undefined),
    ...(token ? { token } : {}),
  }
}

/** Returns an entry without secrets, and without what a client can make large. */
export function toBriefRecord(entry: Entry, isSecret: IsSecret): JournalRecord {
  return { ...summarise(entry, isSecret), headers: {}, replyHeaders: {}, brief: true }
}

function summarise(entry: Entry, isSecret: IsSecret): Omit<JournalRecord, 'headers' | 'replyHeaders'> {
  const { decided, url } = entry
  return {
    id: entry.id,
    time: new Date(entry.time).toISOString(),
    method: entry.method,
    path: redactPath(cutPath(pathOf(url)), isSecret),
    ...(entry.address === undefined ? {} : { address: entry.address }),
    status: entry.status,
    duration: Math.round(entry.durationMs * 1000) / 1000,
    contract: decided?.contract ?? contractOf(url),
    outcome: decided?.outcome ?? 'answered',
    ...withoutUndefined(decided),
    injected: entry.injectedBy !== undefined,
    ...(entry.injectedBy === undefined ? {} : { fault: entry.injectedBy }),
  }
}

/** Cuts between segments: half of a secret would not be recognised as one. */
function cutPath(path: string): string {
  if (path.length <= MAX_PATH_LENGTH) return path
  const start = path.slice(0, MAX_PATH_LENGTH)
  return `${start.slice(0, start.lastIndexOf('/') + 1)}…`
}

/** Returns how many characters and bytes a client has sent, without names. */
export function sizeOf({ url, headers, body }: Entry): number {
  return url.length + lengthOf(headers) + lengthOf(body)
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value.length
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce((sum: number, inner) => sum + lengthOf(inner), 0)
}

function withoutUndefined(decided: Decided | undefined): Partial<Decided> {
  return Object.fromEntries(Object.entries(decided ?? {}).filter(([, value]) => value !== undefined))
}

/** Returns the claims of a signed token in the request, not verified. */
function readToken({ authorization = '', cookie = '' }: IncomingHttpHeaders): JournalRecord['token'] {
  const candidates = [authorization.trim().split(/ +/).at(-1) ?? '', ...cookie.split(/[;=] */)]
  for (const candidate of candidates) {
    const token = readSignedToken(candidate)
    if (token) return { id: token.id, claims: { ...token.claims } }
  }
  return undefined
}
