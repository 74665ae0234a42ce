import { execFileSync, fork } from 'node:child_process'
import { on } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import type { TokenRecord } from '../../../src/core/ports/token-store.ts'
import { hasProgram } from '../../support/programs.ts'
import { openStore } from '../../support/stores.ts'

// The embedded file in processes of their own, as other users and at the limits of the system.

const NOW = Date.UTC(2026, 0, 1)
const folder = mkdtempSync(join(tmpdir(), 'trimint-processes-'))
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const open = (store: string) => openStore('tokens', store)
const newFile = () => join(folder, `${made++}.db`)

function createRecord(): TokenRecord {
  const number = made++
  return {
    tokenDigest: `token-${number}`,
    sessionDigest: `session-${number}`,
    operation: 'registration',
    username: 'jeff',
    client: 'backend',
    uafRequest: '[{"header":{"op":"Reg"}}]',
    createdAt: NOW,
    expiresAt: NOW + 300_000,
    responseLifetime: 120_000,
    redeemedAt: undefined,
    revokedAt: undefined,
  }
}

const count = (database: DatabaseSync) =>
  (database.prepare('SELECT count(*) AS count FROM tokens').get() as { count: number }).count

/** Root may write everywhere, so that a process of nobody's tries. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** A process that opens the store, and what it has to say about that. */
async function startStoreProcess(name: string, user: typeof nobody = {}) {
  const child = fork(new URL('../../support/store-process.ts', import.meta.url), [name], { ...user, execArgv: [] })
  const messages = on(child, 'message', { close: ['exit'] })
  const hear = async (): Promise<string> => (await messages.next()).value?.[0] ?? 'nothing'
  const opened = await hear()
  async function create(record: TokenRecord): Promise<string> {
    child.send(record)
    return hear()
  }
  return { pid: child.pid, opened, create, [Symbol.dispose]: () => child.kill('SIGKILL') }
}

/** A folder where nobody may look, with a store that holds one record. */
async function createForNobody() {
  const place = mkdtempSync(join(tmpdir(), 'trimint-nobody-'))
  const file = join(place, 'trimint.db')
  const record = createRecord()
  const store = await open(`sqlite:${file}`)
  await store.create(record)
  await store.close()
  return { place, file, record }
}

test.each(['file', 'folder'] as const)(
  'a store in a %s that is read-only is refused, and keeps its data',
  async (what) => {
    const { place, file, record } = await createForNobody()
    if (nobody.uid) for (const path of [place, file]) chownSync(path, nobody.uid, nobody.gid)
    if (what === 'file' && nobody.uid) chownSync(file, 0, 0)
    chmodSync(file, what === 'file' ? 0o444 : 0o600)
    chmodSync(place, what === 'file' ? 0o700 : 0o500)
    {
      using started = await startStoreProcess(`sqlite:${file}`, nobody)
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
  },
)

test.skipIf(!hasProgram('prlimit'))(
  'on a full disk a store refuses, and goes on when there is room again',
  async () => {
    const file = newFile()
    // A limit to the size of files fails a write as a full disk does, and can be lifted while the process runs.
    const limit = (size: string) => execFileSync('prlimit', ['--pid', String(started.pid), `--fsize=${size}:`])
    using started = await startStoreProcess(`sqlite:${file}`)
    expect(started.opened).toBe('ready')
    const answered: TokenRecord[] = []
    limit('200000')
    let answer = ''
    while (answered.length < 1_000) {
      const record = createRecord()
      answer = await started.create(record)
      if (answer !== 'created') break
      answered.push(record)
    }
    expect(answer).toMatch(/disk/)
    expect(answered.length).toBeGreaterThan(0)
    expect(await started.create(createRecord())).toMatch(/disk/)
    limit('unlimited')
    const later = createRecord()
    expect(await started.create(later)).toBe('created')

    const store = await open(`sqlite:${file}`)
    for (const record of [...answered, later]) {
      expect(await store.findByToken(record.tokenDigest, NOW)).toStrictEqual(record)
    }
    const spy = new DatabaseSync(file)
    expect(spy.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    expect(count(spy)).toBe(answered.length + 1)
    spy.close()
    await store.close()
  },
)

test('a store is shared by processes that start and write at once', async () => {
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
    expect(new Set(answers.flat())).toEqual(new Set(['created']))
  } finally {
    for (const process of started) process[Symbol.dispose]()
  }
})
