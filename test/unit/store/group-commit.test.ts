import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { createGroupCommit, retryWhileBusy } from '../../../src/store/sqlite/group-commit.ts'
import { openWriteAheadLog, type WriteAheadLog } from '../../../src/store/sqlite/write-ahead-log.ts'

const folder = mkdtempSync(join(tmpdir(), 'trimint-group-commit-'))
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0

/** More than one group takes. */
const MANY = 300

/** A database with one table of numbers, and its log, as far as a test does not change what it does. */
function openNumbers(changes: Partial<WriteAheadLog> = {}) {
  const path = join(folder, `${made++}.db`)
  const database = openDatabase(path)
  database.exec(
    'PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0; CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT',
  )
  const log = openWriteAheadLog(path)
  const insert = database.prepare('INSERT INTO numbers VALUES (?)')
  const group = createGroupCommit(database, { ...log, ...changes })
  return {
    path,
    database,
    group,
    add: (number: number) => group.write(() => insert.run(number).lastInsertRowid),
    numbers: () =>
      database
        .prepare('SELECT number FROM numbers')
        .all()
        .map(({ number }) => number),
    close() {
      database.close()
      log.close()
    },
  }
}

const BROKEN = new Error('the disk is broken')

describe('a group', () => {
  test('is answered when it is on the disk, and not before', async () => {
    const disk = Promise.withResolvers<void>()
    const { add, numbers, close } = openNumbers({ sync: () => disk.promise })
    const answered = vi.fn()
    const added = add(1).then(answered)
    await vi.waitFor(() => expect(numbers()).toEqual([1]))
    expect(answered).not.toHaveBeenCalled()
    disk.resolve()
    await added
    expect(answered).toHaveBeenCalledWith(1)
    close()
  })

  test('gathers what comes while the one before is on its way to the disk', async () => {
    const ways: PromiseWithResolvers<void>[] = []
    const sync = () => {
      const way = Promise.withResolvers<void>()
      ways.push(way)
      return way.promise
    }
    const { add, numbers, close } = openNumbers({ sync })
    const answered: number[] = []
    const all = [add(1).then(() => answered.push(1))]
    await vi.waitFor(() => expect(numbers()).toEqual([1]))
    for (const number of [2, 3]) {
      all.push(add(number).then(() => answered.push(number)))
      await endOfTurn()
    }
    expect(numbers()).toEqual([1])
    ways[0]?.resolve()
    await vi.waitFor(() => expect(ways).toHaveLength(2))
    expect(numbers()).toEqual([1, 2, 3])
    expect(answered).toEqual([1])
    ways[1]?.resolve()
    await Promise.all(all)
    expect(answered).toEqual([1, 2, 3])
    close()
  })

  test.each([
    ['a promise', (run: () => void) => void Promise.resolve().then(run)],
    ['a tick', (run: () => void) => process.nextTick(run)],
  ])('takes all along that comes with one callback of the event loop: begun in %s', async (_, begin) => {
    const sync = vi.fn(async () => undefined)
    const { add, close } = openNumbers({ sync })
    const later = async (number: number) => {
      await undefined
      await add(number)
    }
    await new Promise((resolve) => begin(() => resolve(Promise.all([add(1), later(2), add(3)]))))
    expect(sync).toHaveBeenCalledTimes(1)
    close()
  })

  test('that is too large goes in several transactions, with others in between, and waits for the disk once', async () => {
    const sync = vi.fn(async () => undefined)
    const { add, numbers, close } = openNumbers({ sync })
    const many = Array.from({ length: MANY }, (_, at) => at)
    const added = Promise.all(many.map(add))
    await endOfTurn()
    expect(numbers()).toHaveLength(256)
    expect(await added).toEqual(many)
    expect(sync).toHaveBeenCalledTimes(1)
    close()
  })

  test('whose second transaction cannot begin brings the first to the disk', async () => {
    const sync = vi.fn(async () => undefined)
    const { add, database, numbers, close } = openNumbers({ sync })
    const added = Promise.allSettled(Array.from({ length: MANY }, (_, at) => add(at)))
    await endOfTurn()
    database.exec('BEGIN')
    const results = await added
    database.exec('COMMIT')
    expect(results.map(({ status }) => status)).toEqual([
      ...Array(256).fill('fulfilled'),
      ...Array(MANY - 256).fill('rejected'),
    ])
    expect(numbers()).toHaveLength(256)
    expect(sync).toHaveBeenCalledTimes(1)
    close()
  })

  test('gives up on a lock by when it has waited long enough, for the disk before included', async () => {
    const disk = Promise.withResolvers<void>()
    const { add, path, close } = openNumbers({ sync: () => disk.promise })
    const first = add(1)
    await endOfTurn()
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const began = performance.now()
    const second = add(2)
    await sleep(500)
    disk.resolve()
    await first
    await expect(second).rejects.toThrow('locked')
    expect(performance.now() - began).toBeLessThan(1_000)
    other.close()
    close()
  })

  test.each([
    ['in memory', ':memory:', 1],
    ['refused', undefined, -1],
  ])('%s lets others have their turn as well', async (_, path, number) => {
    const { database, insert } = createTable()
    const log = path
      ? openWriteAheadLog(path)
      : { sync: async () => undefined, rescue: () => undefined, close: () => undefined }
    const group = createGroupCommit(database, log)
    let turns = 0
    const timer = setImmediate(function count() {
      turns += 1
      setImmediate(count)
    })
    for (let write = 0; write < 20; write++) {
      await group.write(() => insert.run(number * (write + 1))).catch(() => undefined)
    }
    expect(turns).toBeGreaterThanOrEqual(19)
    clearImmediate(timer)
    database.close()
  })

  test('is refused where the disk does not take it; the next begins with what may be lost', async () => {
    const log: string[] = []
    const sync = vi.fn(async () => void log.push('sync'))
    sync.mockRejectedValueOnce(BROKEN)
    const rescue = vi.fn(() => void log.push('rescue'))
    const { add, close } = openNumbers({ sync, rescue })
    await expect(add(1)).rejects.toBe(BROKEN)
    await add(2)
    await add(3)
    expect(log).toEqual(['rescue', 'sync', 'sync'])
    close()
  })

  test('that came while the disk did not take the one before begins with what may be lost', async () => {
    const disk = Promise.withResolvers<void>()
    const sync = vi.fn(async () => undefined)
    sync.mockReturnValueOnce(disk.promise as Promise<undefined>)
    const rescue = vi.fn()
    const { add, numbers, close } = openNumbers({ sync, rescue })
    const [first, second] = [add(1), add(2)]
    await vi.waitFor(() => expect(numbers()).toEqual([1, 2]))
    const third = add(3)
    disk.reject(BROKEN)
    const results = await Promise.allSettled([first, second, third])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    expect(rescue).toHaveBeenCalledTimes(1)
    close()
  })

  test('is refused as long as what may be lost cannot be written again', async () => {
    const sync = vi.fn(async () => undefined)
    sync.mockRejectedValueOnce(BROKEN)
    const rescue = vi.fn()
    rescue.mockImplementationOnce(() => {
      throw BROKEN
    })
    const { add, numbers, close } = openNumbers({ sync, rescue })
    await expect(add(1)).rejects.toBe(BROKEN)
    await expect(add(2)).rejects.toBe(BROKEN)
    expect(numbers()).toEqual([1])
    await add(3)
    expect(numbers()).toEqual([1, 3])
    close()
  })

  test('is waited for by a flush until it is on the disk', async () => {
    const disk = Promise.withResolvers<void>()
    const { add, group, close } = openNumbers({ sync: () => disk.promise })
    const order: string[] = []
    const added = add(1).then(() => order.push('answered'))
    const flushed = group.flush().then(() => order.push('flushed'))
    setTimeout(disk.resolve, 20)
    await Promise.all([added, flushed])
    expect(order).toEqual(['answered', 'flushed'])
    close()
  })
})

function createTable() {
  const database = new DatabaseSync(':memory:')
  // As a disk that fails: SQLite ends the transaction at once.
  database.exec(
    `CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT;
     CREATE TRIGGER broken AFTER INSERT ON numbers WHEN NEW.number < 0 BEGIN SELECT RAISE(ROLLBACK, 'the disk is broken'); END`,
  )
  const insert = database.prepare('INSERT INTO numbers VALUES (?)')
  const count = () => (database.prepare('SELECT count(*) AS count FROM numbers').get() as { count: number }).count
  return { database, insert, count }
}

test('a group that the disk refuses takes nothing along of the next one, which was waiting behind it', async () => {
  const { database, insert, count } = createTable()
  const group = createGroupCommit(database, openWriteAheadLog(':memory:'))
  const numbers = Array.from({ length: MANY }, (_, at) => (at === 0 ? -1 : at))
  const results = await Promise.allSettled(numbers.map((number) => group.write(() => insert.run(number))))
  const refused = results.filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(256)
  expect(refused[0]).toMatchObject({ reason: { message: 'the disk is broken' } })
  expect(count()).toBe(MANY - 256)
  database.close()
})

test('each step is answered with its own result, over several groups', async () => {
  const { database, insert } = createTable()
  const group = createGroupCommit(database, openWriteAheadLog(':memory:'))
  const numbers = Array.from({ length: MANY }, (_, at) => at)
  const results = await Promise.all(numbers.map((number) => group.write(() => insert.run(number).lastInsertRowid)))
  expect(results).toEqual(numbers)
  database.close()
})

test('a step that fails for any other reason than a lock is not tried again', async () => {
  let tries = 0
  const step = () => {
    tries += 1
    throw new Error('no such table')
  }
  await expect(retryWhileBusy(step)).rejects.toThrow('no such table')
  expect(tries).toBe(1)
})
