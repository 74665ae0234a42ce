// The stores of the soak test, and what they hold.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createClient } from 'redis'
import { startPostgres } from '../../support/postgres.ts'
import { startRedis } from '../../support/redis.ts'

export type SoakStore = 'sqlite' | 'redis' | 'postgres'

export interface Storage extends AsyncDisposable {
  /** As the configuration names it. */
  readonly url: string
  /** Returns the number of records of any kind, and the MiB in use. */
  measure(): Promise<{ readonly records: number; readonly storeMib: number }>
  /** Lets time pass for records that the store expires itself. */
  advance(timeMs: number): Promise<void>
}

const MIB = 2 ** 20

const OPENERS: Readonly<Record<SoakStore, () => Promise<Storage>>> = {
  sqlite: openFile,
  redis: openRedis,
  postgres: openPostgres,
}

export const openStorage = (store: SoakStore): Promise<Storage> => OPENERS[store]()

async function openFile(): Promise<Storage> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-soak-'))
  const file = join(folder, 'trimint.db')
  return {
    url: `sqlite:${file}`,
    async measure() {
      const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 })
      const read = (query: string) => Number(Object.values(database.prepare(query).get() ?? {})[0])
      const tables = ['tokens', 'uses', 'revocations', 'failures', 'replicas']
      const records = tables.reduce((sum, table) => sum + read(`SELECT count(*) FROM ${table}`), 0)
      const pages = read('PRAGMA page_count') - read('PRAGMA freelist_count')
      const storeMib = (pages * read('PRAGMA page_size')) / MIB
      database.close()
      return { records, storeMib }
    },
    advance: async () => undefined,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

/** Keys without a time to live that hold many records, or none of a token. */
const LASTING =
  /^trimint:(?:anonymous|credentials|reserve|replicas|signing-keys|revocations(?:-by-end|-by-subject)?|failures-by-end|failures-blocks)$/

async function openRedis(): Promise<Storage> {
  const redis = await startRedis()
  const client = createClient({ url: redis.url })
  await client.connect()
  return {
    url: redis.url,
    async measure() {
      const memory = /^used_memory:([0-9]+)/m.exec(await client.info('memory'))?.[1]
      const revocations = await client.xLen('trimint:revocations')
      return { records: (await client.dbSize()) + revocations, storeMib: Number(memory) / MIB }
    },
    // The clock of Redis cannot be set: shorten the time to live of every key.
    async advance(timeMs) {
      for await (const keys of client.scanIterator({ COUNT: 1_000 })) {
        const moves = keys.map(async (key) => {
          const leftMs = await client.pTTL(key)
          if (leftMs > 0) await client.pExpire(key, Math.max(1, leftMs - timeMs))
          else if (leftMs === -1 && !LASTING.test(key)) throw new Error(`${key} never expires`)
        })
        await Promise.all(moves)
      }
    },
    async [Symbol.asyncDispose]() {
      client.destroy()
      await redis.stop()
    },
  }
}

async function openPostgres(): Promise<Storage> {
  const postgres = await startPostgres()
  const tables = ['tokens', 'uses', 'revocations', 'failures', 'announcements'].map((table) => `trimint_${table}`)
  // The rows: PostgreSQL keeps the space of deleted rows for new ones.
  const sums = tables.map(
    (table) => `SELECT count(*) AS records, sum(pg_column_size(${table}.*)) AS bytes FROM ${table}`,
  )
  return {
    url: postgres.url,
    async measure() {
      const [row] = await postgres.query(
        `SELECT sum(records) AS records, sum(bytes) AS bytes FROM (${sums.join(' UNION ALL ')}) AS every_table`,
      )
      return { records: Number(row?.records), storeMib: Number(row?.bytes) / MIB }
    },
    advance: async () => undefined,
    [Symbol.asyncDispose]: () => postgres.stop(),
  }
}
