// Shows what committing writes together is worth, and what a million live records cost.
//
//   node bench/group-commit.ts [--folder .] [--records 1000000] [--tokens 10000]
//
// Both on a real file, every commit waiting for the disk (synchronous = FULL), 64 tokens in flight. The ways that are compared
// take turns in every repetition, so that whatever else the machine does hits all of them alike.

import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as endOfTurn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { TokenRecord, TokenStore } from '../src/core/ports/token-store.ts'
import { openDatabase } from '../src/store/sqlite/database.ts'
import { openSqliteTokenStore } from '../src/store/sqlite/token-store.ts'
import { percentile, printTable, readCount } from './support.ts'

const REPETITIONS = 5
const IN_FLIGHT = 64
const FEW = 1_000
/** What a registration with a small policy takes. */
const REQUEST = 'x'.repeat(600)
const NOW = Date.now()
const LIFETIME = 300_000
const ROWS_PER_TRANSACTION = 10_000

/** As the store has it. */
const INSERT = `INSERT INTO tokens (token_digest, session_digest, operation, username, client, uaf_request, created_at,
    expires_at, response_lifetime)
  VALUES ($tokenDigest, $sessionDigest, $operation, $username, $client, $uafRequest, $createdAt, $expiresAt,
    $responseLifetime)`

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: '.' },
    records: { type: 'string', default: '1000000' },
    tokens: { type: 'string', default: '10000' },
  },
})
const records = readCount(values.records, 10_000_000)
const tokens = readCount(values.tokens, 1_000_000)
const folder = mkdtempSync(join(values.folder, 'trimint-bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

await compareCommits()
await compareSizes()

async function compareCommits(): Promise<void> {
  const rates = { grouped: [] as number[], single: [] as number[] }
  for (let repetition = -1; repetition < REPETITIONS; repetition += 1) {
    // New files: both do the same work on the same number of records.
    const grouped = openSqliteTokenStore(join(folder, `grouped-${repetition}.db`))
    const single = openSingle(join(folder, `single-${repetition}.db`))
    const rate = { grouped: await measure((record) => grouped.create(record)), single: await measure(single.create) }
    await grouped.close()
    single.close()
    if (repetition < 0) continue // Warm-up.
    rates.grouped.push(rate.grouped)
    rates.single.push(rate.single)
  }
  report(
    `Creates a second, ${IN_FLIGHT} in flight`,
    ['a transaction a token', rates.single],
    ['a transaction a turn of the event loop', rates.grouped],
  )
}

/** The same statement, each in a transaction of its own. */
function openSingle(path: string) {
  const database = openDatabase(path)
  database.exec('PRAGMA synchronous = FULL')
  const insert = database.prepare(INSERT)
  async function create(record: TokenRecord): Promise<void> {
    await endOfTurn()
    database.exec('BEGIN IMMEDIATE')
    insert.run(toRow(record))
    database.exec('COMMIT')
  }
  return { create, close: () => database.close() }
}

async function compareSizes(): Promise<void> {
  const full = join(folder, 'full.db')
  fill(full, records)
  const many = openSqliteTokenStore(full)
  const rates = { few: [] as number[], many: [] as number[] }
  for (let repetition = -1; repetition < REPETITIONS; repetition += 1) {
    const small = join(folder, `small-${repetition}.db`)
    fill(small, FEW)
    const few = openSqliteTokenStore(small)
    const rate = { few: await measure(createAndRedeem(few)), many: await measure(createAndRedeem(many)) }
    await few.close()
    if (repetition < 0) continue // Warm-up.
    rates.few.push(rate.few)
    rates.many.push(rate.many)
  }
  await many.close()
  report(
    `Tokens created and redeemed a second, ${IN_FLIGHT} in flight`,
    [`${FEW} live records at the start`, rates.few],
    [`${records} live records at the start`, rates.many],
  )
}

function createAndRedeem(store: TokenStore) {
  return async (record: TokenRecord): Promise<void> => {
    await store.create(record)
    const { outcome } = await store.redeem(record.tokenDigest, record.operation, NOW)
    if (outcome !== 'redeemed') throw new Error(`unexpected outcome: ${outcome}`)
  }
}

function fill(path: string, count: number): void {
  const database = openDatabase(path)
  database.exec('PRAGMA synchronous = OFF')
  const insert = database.prepare(INSERT)
  for (let done = 0; done < count; done += ROWS_PER_TRANSACTION) {
    database.exec('BEGIN')
    for (let at = done; at < Math.min(done + ROWS_PER_TRANSACTION, count); at += 1) insert.run(toRow(createRecord()))
    database.exec('COMMIT')
  }
  // What is written here is on the disk before the first measurement, and does not get into its way.
  database.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
  const descriptor = openSync(path, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}

/** How many a second are done, of {@link tokens} that are done. */
async function measure(use: (record: TokenRecord) => Promise<void>): Promise<number> {
  const todo = Array.from({ length: tokens }, createRecord)
  const start = performance.now()
  async function work(): Promise<void> {
    for (let record = todo.pop(); record; record = todo.pop()) await use(record)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  return (tokens / (performance.now() - start)) * 1_000
}

function createRecord(): TokenRecord {
  return {
    tokenDigest: randomBytes(32).toString('base64url'),
    sessionDigest: randomBytes(32).toString('base64url'),
    operation: 'registration',
    username: 'jeff',
    client: 'backend',
    uafRequest: REQUEST,
    createdAt: NOW,
    expiresAt: NOW + LIFETIME,
    responseLifetime: LIFETIME,
    redeemedAt: undefined,
    revokedAt: undefined,
  }
}

function toRow({ redeemedAt, revokedAt, ...record }: TokenRecord) {
  return { ...record, username: record.username ?? null, client: record.client ?? null }
}

function report(title: string, base: [string, number[]], other: [string, number[]]): void {
  const reference = percentile(base[1], 0.5)
  printTable(
    [title, 'median', 'lowest', 'highest', 'ratio'],
    [base, other].map(([label, rates]) => [
      label,
      percentile(rates, 0.5).toFixed(0),
      Math.min(...rates).toFixed(0),
      Math.max(...rates).toFixed(0),
      (percentile(rates, 0.5) / reference).toFixed(2),
    ]),
  )
}
