import type { Clock } from '../core/clock.ts'
import type { Credential } from '../core/ports/credential-store.ts'
import type { Settlement, TokenRecord, TokenStore } from '../core/ports/token-store.ts'
import type { Randomness } from '../core/randomness.ts'
import { keyOf } from '../core/uaf/aaid.ts'
import type { Stores } from './open-stores.ts'
import type { FailureRecord, SqliteSource, StoreRecords, UsageRecord } from './sqlite/source.ts'

// Copies through the interfaces of the stores, which every target has. Each step can be repeated: where a copy was
// interrupted, the next one completes it.

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
  const copyChanges = prepareCopy(source.records, target, randomness)
  const copy = async (): Promise<number> => {
    await requireUnused(target, clock())
    const changes = await copyChanges(clock())
    onPass(changes)
    return changes
  }
  await requireUnused(target, clock())
  await removeLeftovers(target, clock())
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

/** Deletes what servers may have deleted from the source since an interrupted copy. Other records only expire. */
async function removeLeftovers({ credentials, failures }: Stores, now: number): Promise<void> {
  await removeAll(() => credentials.list(CONCURRENCY), credentials.remove)
  const limits = { blocks: CONCURRENCY / 2, counts: CONCURRENCY / 2 }
  await removeAll(
    () => failures.list(now, limits),
    ({ key }) => failures.remove(key, EVERYTHING),
  )
}

async function removeAll<Item>(list: () => Promise<Item[]>, remove: (item: Item) => Promise<unknown>): Promise<void> {
  for (let page = await list(); page.length > 0; page = await list()) await Promise.all(page.map(remove))
}

/** Returns a function that copies what is new or has changed since its last call. It returns how many records these were. */
function prepareCopy(source: StoreRecords, target: Stores, randomness: CopyOptions['randomness']) {
  const { credentials, failures, replicas, revocations } = target
  const kinds = [
    createCopier({
      read: source.tokens,
      describe: ({ tokenDigest, redeemedAt, revokedAt, outcome }) => [tokenDigest, redeemedAt, revokedAt, outcome && 1],
      copy: (record, _now, isCopied) => copyToken(target, record, isCopied),
    }),
    createCopier({
      read: source.uses,
      describe: ({ tokenId, count, lastUse }) => [tokenId, count, lastUse],
      copy: (record, now) => copyUses(target, record, now),
    }),
    createCopier({
      read: source.revocations,
      describe: ({ subject, issuedUntil, expires }) => [subject, issuedUntil, expires],
      copy: (revocation, now) => revocations.add(revocation, now),
    }),
    createCopier({
      read: source.failures,
      describe: ({ key, failures: count, expires, isBlock }) => [key, count, expires, isBlock],
      copy: (record, now, isCopied) => copyFailures(target, record, now, isCopied),
      remove: (key) => failures.remove(key, EVERYTHING),
    }),
    createCopier({
      read: source.credentials,
      describe: (credential) => [keyOf(credential), JSON.stringify(credential)],
      copy: (credential, _, isCopied) => copyCredential(target, credential, isCopied, randomness),
      remove(key) {
        const [aaid = '', keyId = ''] = key.split(' ')
        return credentials.remove({ aaid, keyId })
      },
    }),
  ]
  return async (now: number): Promise<number> => {
    let changes = 0
    for (const copyKind of kinds) changes += await copyKind(now)
    // Records the times, and withdraws an announcement that does not exist.
    await replicas.leave('trimint store copy', source.neededUntil())
    return changes
  }
}

/** How records of one kind are copied. */
interface Kind<Item> {
  /** Reads all records of the source. */
  read(): Iterable<Item>
  describe(item: Item): readonly [key: string, ...state: unknown[]]
  /** @param isCopied whether an earlier state of the record was copied. */
  copy(item: Item, now: number, isCopied: boolean): Promise<void>
  /** Deletes a record from the target, for records that servers delete before they expire. */
  remove?(key: string): Promise<unknown>
}

function createCopier<Item>({ read, describe, copy, remove }: Kind<Item>): (now: number) => Promise<number> {
  /** The state of each record that was copied. */
  const copied = new Map<string, string>()

  return async (now) => {
    let changes = 0
    const gone = new Set(remove && copied.keys())
    // All callers take from the same iterator, so that no table has to fit into memory.
    const all = Iterator.from(read())
    const copySome = async (): Promise<void> => {
      for (let next = all.next(); !next.done; next = all.next()) {
        const [key, ...state] = describe(next.value)
        gone.delete(key)
        const text = state.join(' ')
        const before = copied.get(key)
        if (before === text) continue
        await copy(next.value, now, before !== undefined)
        copied.set(key, text)
        changes += 1
      }
    }
    const endAll = (error: unknown): never => {
      all.return?.()
      throw error
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, () => copySome().catch(endAll)))
    for (const key of gone) {
      await remove?.(key)
      copied.delete(key)
    }
    return changes + gone.size
  }
}

/**
 * Takes a record through its states, as servers have done. Also one that has expired: the clock of this machine may be
 * ahead of theirs. A later sweep deletes it.
 */
async function copyToken({ tokens }: Stores, record: TokenRecord, isCopied: boolean): Promise<void> {
  const { tokenDigest, operation, redeemedAt, revokedAt, outcome } = record
  if (!isCopied) await createToken(tokens, record)
  if (redeemedAt !== undefined) {
    const redemption = await tokens.redeem(tokenDigest, operation, redeemedAt)
    if (redemption.outcome !== 'redeemed' && redemption.outcome !== 'spent') {
      throw new Error(`a redeemed token could not be copied: ${redemption.outcome}`)
    }
  }
  if (outcome) await tokens.settle(tokenDigest, { outcome, registrations: [], uses: [] }, outcome.settledAt)
  if (revokedAt !== undefined) await tokens.revoke(tokenDigest, revokedAt)
}

/** Creates a token, unless an interrupted copy has created it. */
async function createToken(tokens: TokenStore, record: TokenRecord): Promise<void> {
  const isHeld = async () => (await tokens.findByToken(record.tokenDigest, record.createdAt)) !== undefined
  const isAnonymous = record.client === undefined
  // Redis would count the record a second time before it notices that it exists.
  if (isAnonymous && (await isHeld())) return
  // The servers apply their limit to what the target then holds.
  const limit = isAnonymous ? { maxRecords: EVERYTHING, maxBytes: EVERYTHING } : undefined
  const created = { ...record, redeemedAt: undefined, revokedAt: undefined, outcome: undefined }
  await tokens.create(created, limit).catch(async (error: unknown) => {
    if (!(await isHeld())) throw error
  })
}

/** Also those of an expired token, as {@link copyToken} does. */
async function copyUses({ uses }: Stores, { tokenId, count, lastUse, expires }: UsageRecord, now: number) {
  await Promise.all(Array.from({ length: count }, () => uses.count(tokenId, count, expires, now)))
  if (lastUse !== undefined) await uses.touch([{ tokenId, usedAt: lastUse, expires }], now)
}

async function copyFailures({ failures }: Stores, record: FailureRecord, now: number, isCopied: boolean) {
  const { key, failures: count, expires, isBlock } = record
  if (isCopied) await failures.remove(key, EVERYTHING)
  if (expires <= now) return
  await Promise.all(Array.from({ length: count }, () => failures.add(key, expires - now, now)))
  if (isBlock) await failures.block(key, expires, now)
}

/** Registers a key, and notes its last use, as responses do: the interface of the stores has no other way. */
async function copyCredential(
  { credentials, tokens }: Stores,
  credential: Credential,
  isCopied: boolean,
  randomness: CopyOptions['randomness'],
): Promise<void> {
  const { algorithm, signCounter, registeredAt, lastUsedAt } = credential
  const settle = (changes: Omit<Settlement, 'outcome'>, at: number) =>
    settleWith(tokens, `copy ${randomness.uuid()}`, changes, at)
  if (isCopied) await credentials.remove(credential)
  await settle({ registrations: [credential], uses: [] }, registeredAt)
  if (lastUsedAt === undefined || algorithm === undefined) return
  await settle({ registrations: [], uses: [{ credential, algorithm, signCounter }] }, lastUsedAt)
}

/** @param at when the keys were registered or used. */
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
