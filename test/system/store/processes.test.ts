import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TokenRecord } from '../../../src/core/ports/token-store.ts'
import { openStores } from '../../../src/store/open-stores.ts'
import { hasProgram } from '../../support/programs.ts'
import { createRecord, NOW } from '../../support/records.ts'
import { canMount, mountSmallDisk } from '../../support/small-disk.ts'
import type { StoreAnswer, StoreCall } from '../../support/store-process.ts'
import { createStoreFolder, openStore } from '../../support/stores.ts'

// The SQLite store in several processes, under another user, and on a failing disk.

const folder = createStoreFolder('processes')
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const open = (store: string) => openStore('tokens', store)
const newFile = () => join(folder, `${made++}.db`)

const revocationOf = (token: string) => ({ subject: `token ${token}`, issuedUntil: NOW, expires: NOW + 300_000 })

const count = (database: DatabaseSync) =>
  (database.prepare('SELECT count(*) AS count FROM tokens').get() as { count: number }).count

/** Root may write everywhere, so the store process runs as another user. */
const unprivileged = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** Starts a process that opens a store. `opened` resolves to `ready`, or to the reason for the failure. */
async function startStoreProcess(name: string, user: typeof unprivileged = {}, env: NodeJS.ProcessEnv = {}) {
  const child = fork(new URL('../../support/store-process.ts', import.meta.url), [name], {
    ...user,
    execArgv: [],
    env: { ...process.env, ...env },
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const waiting = new Map<number, (answer: string) => void>()
  const told = Promise.withResolvers<string>()
  const fatal: string[] = []
  child.on('message', (message: string | StoreAnswer) => {
    if (typeof message !== 'string') waiting.get(message.id)?.(message.error ?? 'done')
    else if (message.startsWith('fatal')) fatal.push(message)
    else told.resolve(message)
  })
  const opened = await Promise.race([told.promise, exited.then(() => 'ended')])
  let lastId = 0
  /** Resolves to `done`, or to the reason for a rejection. Never resolves once the process has ended. */
  function call(store: StoreCall['store'], operation: string, ...values: unknown[]): Promise<string> {
    lastId += 1
    const id = lastId
    child.send({ id, store, operation, values } satisfies StoreCall, () => undefined)
    return new Promise((resolve) => waiting.set(id, resolve))
  }
  return {
    pid: child.pid,
    opened,
    call,
    create: (record: TokenRecord) => call('tokens', 'create', record),
    fatal,
    exited,
    kill: () => child.kill('SIGKILL'),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

/** Creates a store with one record in a folder that other users cannot open. */
async function createRecordStore() {
  const place = mkdtempSync(join(tmpdir(), 'trimint-readonly-'))
  const file = join(place, 'trimint.db')
  const record = createRecord()
  const store = await open(`sqlite:${file}`)
  await store.create(record)
  await store.close()
  return { place, file, record }
}

test.each(['file', 'folder'] as const)('rejects a store in a read-only %s, which keeps its data', async (what) => {
  const { place, file, record } = await createRecordStore()
  if (unprivileged.uid) for (const path of [place, file]) chownSync(path, unprivileged.uid, unprivileged.gid)
  if (what === 'file' && unprivileged.uid) chownSync(file, 0, 0)
  chmodSync(file, what === 'file' ? 0o444 : 0o600)
  chmodSync(place, what === 'file' ? 0o700 : 0o500)
  {
    using started = await startStoreProcess(`sqlite:${file}`, unprivileged)
    expect(started.opened).toMatch(
      what === 'file' ? /EACCES: permission denied/ : /attempt to write a readonly database/,
    )
  }
  chmodSync(place, 0o700)
  chmodSync(file, 0o600)
  const store = await open(`sqlite:${file}`)
  expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
  await store.close()
  rmSync(place, { recursive: true })
})

test.skipIf(!canMount())(
  'rejects writes on a full disk, keeps what it acknowledged, and continues when there is room',
  async () => {
    using disk = mountSmallDisk()
    const file = join(disk?.folder ?? '', 'trimint.db')
    const store = await open(`sqlite:${file}`)
    const before = createRecord()
    await store.create(before)
    disk?.fill()
    const big = () => ({ ...createRecord(), uafRequest: 'x'.repeat(100_000) })
    await expect(store.create(big())).rejects.toThrow(/full/)
    await expect(store.create(big())).rejects.toThrow(/full/)
    expect(await store.findByToken(before.tokenDigest, NOW)).toStrictEqual(before)
    disk?.clear()
    const later = big()
    await store.create(later)
    expect(await store.findByToken(later.tokenDigest, NOW)).toStrictEqual(later)
    await store.close()
    const spy = new DatabaseSync(file)
    expect(spy.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    expect(count(spy)).toBe(2)
    spy.close()
  },
)

describe.skipIf(!hasProgram('gcc'))('a failing sync of the write-ahead log', () => {
  const library = join(folder, 'failing-sync.so')
  beforeAll(() => {
    const source = fileURLToPath(new URL('../../support/failing-sync.c', import.meta.url))
    execFileSync('gcc', ['-shared', '-fPIC', '-o', library, source])
  })

  test('ends the process without acknowledging the write, and keeps what it acknowledged before', async () => {
    const file = newFile()
    const trigger = `${file}-fail`
    using started = await startStoreProcess(`sqlite:${file}`, {}, { LD_PRELOAD: library, FAIL_SYNC_WHEN: trigger })
    const before = createRecord()
    expect(await started.create(before)).toBe('done')
    expect(await started.call('revocations', 'add', revocationOf('before'), NOW)).toBe('done')
    writeFileSync(trigger, '')
    const answers = [
      started.call('revocations', 'add', revocationOf('during'), NOW),
      started.create(createRecord()),
      started.call('uses', 'counted', 'any'),
    ]
    const [code] = await started.exited
    expect(code).toBe(1)
    expect(started.fatal).toEqual(['fatal: disk I/O error'])
    const answered = await Promise.all(answers.map((answer) => Promise.race([answer, 'no answer'])))
    expect(answered.slice(0, 2)).not.toContain('done')

    const stores = await openStores(`sqlite:${file}`)
    expect(await stores.tokens.findByToken(before.tokenDigest, NOW)).toStrictEqual(before)
    const { revocations } = await stores.revocations.since(undefined)
    expect(revocations.map(({ subject }) => subject)).toContain('token before')
    await stores.revocations.add(revocationOf('after'), NOW)
    await stores.close()
  })
})

test('keeps everything that was acknowledged when the process is killed under load', async () => {
  const file = newFile()
  const acknowledged: TokenRecord[] = []
  const revoked: string[] = []
  {
    using started = await startStoreProcess(`sqlite:${file}`)
    const enough = Promise.withResolvers<void>()
    for (let at = 0; at < 3_000; at++) {
      const record = createRecord()
      started.create(record).then((answer) => {
        if (answer === 'done') acknowledged.push(record)
        if (acknowledged.length === 1_000) enough.resolve()
      })
      if (at % 10 !== 0) continue
      const { subject } = revocationOf(String(at))
      started.call('revocations', 'add', { ...revocationOf(String(at)), subject }, NOW).then((answer) => {
        if (answer === 'done') revoked.push(subject)
      })
    }
    await enough.promise
    started.kill()
    await started.exited
  }
  const stores = await openStores(`sqlite:${file}`)
  const found = await Promise.all(acknowledged.map(({ tokenDigest }) => stores.tokens.findByToken(tokenDigest, NOW)))
  expect(found).toStrictEqual(acknowledged)
  const { revocations } = await stores.revocations.since(undefined)
  expect(revocations.map(({ subject }) => subject)).toEqual(expect.arrayContaining(revoked))
  expect(revoked.length).toBeGreaterThan(0)
  await stores.close()
})

test('accepts writes from processes that start and write at the same time', async () => {
  const file = newFile()
  const started = await Promise.all(Array.from({ length: 4 }, () => startStoreProcess(`sqlite:${file}`)))
  try {
    expect(started.map(({ opened }) => opened)).toEqual(Array(4).fill('ready'))
    const answers = await Promise.all(
      started.map(async ({ create }) => {
        const all: string[] = []
        for (let at = 0; at < 50; at++) all.push(await create(createRecord()))
        return all
      }),
    )
    expect(new Set(answers.flat())).toEqual(new Set(['done']))
  } finally {
    for (const process of started) process[Symbol.dispose]()
  }
})
