import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../core/clock.ts'
import type { Credential } from '../core/ports/credential-store.ts'
import { RETENTION_MS } from '../core/ports/retention.ts'
import { keptUntil, type Settlement, type TokenRecord, type TokenStore } from '../core/ports/token-store.ts'
import type { Randomness } from '../core/randomness.ts'
import { keyOf } from '../core/uaf/aaid.ts'
import type { Stores } from './open-stores.ts'
import type { SqliteSource, StoreRecords, UsageRecord } from './sqlite/source.ts'

// Copies through the interfaces of the stores, which every target has. Each step can be repeated: a second copy changes
// only what has changed.

/** Calls in progress: more would exceed the time that each may take. */
const CONCURRENCY = 100

/** Another pass gains little after one with fewer changes, or with more than half of those of the pass before. */
const FEW_CHANGES = 1_000

const EVERYTHING = Number.MAX_SAFE_INTEGER

export interface CopyOptions {
  readonly clock: Clock
  readonly randomness: Pick<Randomness, 'uuid'>
  /** Called after each pass over the source, with the number of records that were new or had changed. */
  readonly onPass: (changes: number) => void
}

/**
 * Moves a live installation: copies all records in passes, while servers use the source, and stops their use of it
 * during the last pass.
 *
 * @throws Error where a store fails, or servers use the target. The servers then continue with the source.
 */
export async function moveStore(source: SqliteSource, target: Stores, options: CopyOptions): Promise<void> {
  const { clock, randomness, onPass } = options
  const copied = new Map<string, string>()
  const copy = async (): Promise<number> => {
    await requireUnused(target, clock())
    const changes = await copyRecords(source.records, target, { now: clock(), randomness, copied })
    onPass(changes)
    return changes
  }
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const changes = await copy()
    if (changes < FEW_CHANGES || changes > before / 2) break
    before = changes
  }
  await source.move(async () => {
    await copy()
    await requireUnused(target, clock())
  })
}

/** A server that serves from an incomplete copy would redeem tokens a second time. */
async function requireUnused({ replicas }: Stores, now: number): Promise<void> {
  if ((await replicas.running(now)).length === 0) return
  throw new Error('a server uses the target; stop it, and start it once the copy is complete')
}

interface Pass extends Pick<CopyOptions, 'randomness'> {
  readonly now: number
  /** The state of each record that was copied. */
  readonly copied: Map<string, string>
}

async function copyRecords(source: StoreRecords, target: Stores, pass: Pass): Promise<number> {
  const { now, copied } = pass
  let changes = 0

  /** Calls a step for each record that has changed since the last pass. */
  async function copyEach<Item>(
    items: Iterable<Item>,
    describe: (item: Item) => readonly [key: string, ...state: unknown[]],
    step: (item: Item) => Promise<void>,
  ): Promise<void> {
    // All callers take from the same iterator, so that no table has to fit into memory.
    const all = Iterator.from(items)
    const copySome = async (): Promise<void> => {
      for (let next = all.next(); !next.done; next = all.next()) {
        const [key, ...state] = describe(next.value)
        const text = state.join(' ')
        if (copied.get(key) === text) continue
        await step(next.value)
        copied.set(key, text)
        changes += 1
      }
    }
    const endAll = (error: unknown): never => {
      all.return?.()
      throw error
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, () => copySome().catch(endAll)))
  }

  await copyEach(
    source.tokens(),
    ({ tokenDigest, redeemedAt, revokedAt, outcome }) => [`t ${tokenDigest}`, redeemedAt, revokedAt, outcome && 1],
    (record) => copyToken(target, record, now),
  )
  await copyEach(
    source.uses(),
    ({ tokenId, count, lastUse }) => [`u ${tokenId}`, count, lastUse],
    (record) => copyUses(target, record, now),
  )
  await copyEach(
    source.revocations(),
    ({ subject, issuedUntil, expires }) => [`r ${subject}`, issuedUntil, expires],
    (revocation) => target.revocations.add(revocation, now),
  )
  changes += await copyFailures(source, target, now)
  changes += await copyCredentials(source, target, pass)
  // Records the times, and withdraws an announcement that does not exist.
  await target.replicas.leave('trimint store copy', source.neededUntil())
  return changes
}

/** Takes a record through its states, as servers have done. */
async function copyToken({ tokens }: Stores, record: TokenRecord, now: number): Promise<void> {
  const { tokenDigest, operation, redeemedAt, revokedAt, outcome } = record
  if (keptUntil(record) <= now) return
  // The servers apply their limit to what the target then holds.
  const limit = record.client === undefined ? { maxRecords: EVERYTHING, maxBytes: EVERYTHING } : undefined
  await tokens.create(toNewRecord(record), limit).catch(async (error: unknown) => {
    if (!(await tokens.findByToken(tokenDigest, now))) throw error
  })
  if (redeemedAt !== undefined) await tokens.redeem(tokenDigest, operation, redeemedAt)
  if (outcome) await tokens.settle(tokenDigest, { outcome, registrations: [], uses: [] }, outcome.settledAt)
  if (revokedAt !== undefined) await tokens.revoke(tokenDigest, revokedAt)
}

function toNewRecord(record: TokenRecord): TokenRecord {
  return { ...record, redeemedAt: undefined, revokedAt: undefined, outcome: undefined }
}

async function copyUses({ uses }: Stores, { tokenId, count, lastUse, expires }: UsageRecord, now: number) {
  if (expires + RETENTION_MS <= now) return
  await Promise.all(Array.from({ length: count }, () => uses.count(tokenId, count, expires, now)))
  if (lastUse !== undefined) await uses.touch([{ tokenId, usedAt: lastUse, expires }], now)
}

async function copyFailures(source: StoreRecords, { failures }: Stores, now: number): Promise<number> {
  const listed = await failures.list(now, { blocks: EVERYTHING, counts: EVERYTHING })
  const known = new Map(listed.map((count) => [count.key, count]))
  let changes = 0
  for (const { key, failures: wanted, expires, isBlock } of source.failures()) {
    if (expires <= now) continue
    const count = known.get(key)
    known.delete(key)
    if (count?.failures === wanted && count.expires === expires) continue
    if (count) await failures.remove(key, EVERYTHING)
    await Promise.all(Array.from({ length: wanted }, () => failures.add(key, expires - now, now)))
    if (isBlock) await failures.block(key, expires, now)
    changes += 1
  }
  // Lifted or expired since an earlier pass.
  for (const key of known.keys()) await failures.remove(key, EVERYTHING)
  return changes
}

async function copyCredentials(source: StoreRecords, target: Stores, pass: Pass): Promise<number> {
  const listed = await target.credentials.list(EVERYTHING)
  const known = new Map(listed.map((credential) => [keyOf(credential), credential]))
  let changes = 0
  for (const credential of source.credentials()) {
    const before = known.get(keyOf(credential))
    known.delete(keyOf(credential))
    if (isDeepStrictEqual(before, credential)) continue
    if (before) await target.credentials.remove(before)
    await writeCredential(target, credential, pass)
    changes += 1
  }
  // Removed since an earlier pass.
  for (const credential of known.values()) await target.credentials.remove(credential)
  return changes
}

/** Registers a key, and notes its last use, as responses do: the interface of the stores has no other way. */
async function writeCredential({ tokens }: Stores, credential: Credential, { now, randomness }: Pass): Promise<void> {
  const { algorithm, signCounter, lastUsedAt } = credential
  const settle = (changes: Omit<Settlement, 'outcome'>, at: number) =>
    settleWith(tokens, `copy ${randomness.uuid()}`, changes, at)
  await settle({ registrations: [credential], uses: [] }, now)
  if (lastUsedAt === undefined || algorithm === undefined) return
  await settle({ registrations: [], uses: [{ credential, algorithm, signCounter }] }, lastUsedAt)
}

/** @param at when the keys were used. */
async function settleWith(tokens: TokenStore, digest: string, changes: Omit<Settlement, 'outcome'>, at: number) {
  await tokens.create({
    tokenDigest: digest,
    sessionDigest: digest,
    operation: 'registration',
    username: undefined,
    client: 'trimint store copy',
    uafRequest: '[]',
    createdAt: at,
    knownRevocation: 0,
    expiresAt: at + 1,
    responseLifetime: 1,
    redeemedAt: undefined,
    revokedAt: undefined,
    outcome: undefined,
  })
  await tokens.redeem(digest, 'registration', at)
  const result = await tokens.settle(digest, { outcome: { settledAt: at, statusCode: 1200 }, ...changes }, at)
  if (result !== 'settled') throw new Error(`a key could not be copied: ${result}`)
}
