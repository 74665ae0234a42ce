import { execFile } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { systemRandomness } from '../../../src/app/system-randomness.ts'
import { createKey, createKeyring, type Keyring } from '../../../src/core/crypto/keyring.ts'
import { createHeartbeat, createInstance } from '../../../src/core/heartbeat.ts'
import { type Given, runTrimint } from '../../support/command.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { programWords } from '../../support/program.ts'
import { KEY } from '../../support/service.ts'
import { openStore } from '../../support/stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const OTHER_KEY = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'
const MINUTE = 60_000
const bytes = (secret: string): Buffer => Buffer.from(secret, 'base64url')
trackSecret(OTHER_KEY)

const root = mkdtempSync(join(tmpdir(), 'trimint-keys-'))
afterAll(() => rmSync(root, { recursive: true }))

/** A new folder for each test, with a configuration file and a store. */
let folder: string
let file: string
let folders = 0
beforeEach(async () => {
  folder = join(root, String(folders++))
  mkdirSync(folder)
  file = join(folder, 'trimint.yaml')
  await (await openStore('replicas', storeName())).close()
})

const storeName = (): string => `sqlite:${join(folder, 'trimint.db')}`

/** Writes a configuration with this text for its keys. */
function configure(keys: string, store = storeName()): string {
  const text = `publicUrl: https://t.example.com # ours\nstore: "${store}"\n${keys}\nbws: { apps: [],  lifetime: 10m }\n`
  writeFileSync(file, text)
  return text
}

const FIRST = `{ secret: ${KEY}, id: first, created: 2026-01-01 }`
const SECOND = `{ secret: ${OTHER_KEY}, id: second, created: 2026-01-02 }`
const BOTH = `keys:\n  # the old one\n  - ${FIRST}\n\n  # the new one\n  - ${SECOND}\n`
const SWAPPED = `keys:\n  # the new one\n  - ${SECOND}\n\n  # the old one\n  - ${FIRST}\n`

const [first, second] = [createKey('first', bytes(KEY)), createKey('second', bytes(OTHER_KEY))]

function run(words: string, { variables, ...given }: Given = {}) {
  return runTrimint(words, { variables: { TRIMINT_CONFIG: file, ...variables }, ...given })
}

/** Announces a replica of this name with these keys. */
async function announce(name: string, keyring: Keyring, now = FROZEN_TIME): Promise<void> {
  const store = await openStore('replicas', storeName())
  const clock = createFrozenClock(now)
  await createHeartbeat({ store, instance: createInstance(name), keyring, lifetimeSeconds: 600, clock }).announce()
  await store.close()
}

/** Returns the text of the file, and expects no other file beside it. */
function read(): string {
  expect(readdirSync(folder).filter((name) => !/^(trimint\.yaml|trimint\.db.*)$/.test(name))).toEqual([])
  return readFileSync(file, 'utf8')
}

/** Returns the key that was added: from the file, or from the output. */
function addedKey(text: string): { id: string; secret: string } {
  const { groups } = /secret: "(?<secret>[\w-]{43})"[\s,]+id: "(?<id>2026-01-02-[0-9a-f]{6})"/.exec(text) ?? {}
  trackSecret(groups?.secret ?? '')
  return { id: groups?.id ?? '', secret: groups?.secret ?? '' }
}

describe('keys list', () => {
  test('prints what each key does before any replica has run', async () => {
    configure(`keys: [${FIRST}, { secret: ${OTHER_KEY} }]`)
    expect(await run('keys list')).toEqual({
      code: 0,
      out: [
        'first  created 2026-01-01T00:00:00.000Z  signs  known to 0 of 0 running replicas  in use',
        'key-2  created unknown  verifies  known to 0 of 0 running replicas  never announced',
        '',
      ].join('\n'),
      err: '',
    })
  })

  test('prints how many running replicas have a key, and that a new key has not signed', async () => {
    configure(`keys: [${FIRST}, ${SECOND}]`)
    await announce('a', [first])
    await announce('b', [first, second])
    const { out } = await run('keys list')
    expect(out).toMatch(/^first .* {2}signs {2}known to 2 of 2 running replicas {2}in use\nsecond /)
    expect(out).toMatch(/^second .* {2}verifies {2}known to 1 of 2 running replicas {2}not seen signing$/m)
  })

  test('counts a replica for fifteen seconds after its announcement', async () => {
    configure(`keys: [${FIRST}]`)
    await announce('a', [first])
    expect((await run('keys list', { now: FROZEN_TIME + 14_999 })).out).toContain('known to 1 of 1')
    expect((await run('keys list', { now: FROZEN_TIME + 15_000 })).out).toContain('known to 0 of 0')
  })

  test('keeps a key with which a replica still signs, regardless of the file', async () => {
    configure(`keys: [${SECOND}, ${FIRST}]`)
    await announce('a', [first, second])
    await announce('b', [second, first])
    expect((await run('keys list')).out).toMatch(
      /^first .* {2}verifies {2}known to 2 of 2 .* {2}still signs in 1 of 2$/m,
    )
  })

  test('lets a key go when its longest token has expired', async () => {
    configure(`keys: [${SECOND}, ${FIRST}]`)
    await announce('a', [first, second])
    const end = FROZEN_TIME + 10 * MINUTE + 15_000
    const iso = new Date(end).toISOString()
    const list = async (now: number) => {
      await announce('a', [second, first], now)
      return (await run('keys list', { now })).out.split('\n').find((line) => line.startsWith('first'))
    }
    expect(await list(end - 1)).toMatch(new RegExp(`  can go after ${iso}$`))
    expect(await list(end)).toMatch(new RegExp(`  can go since ${iso}$`))
    expect(await list(end + 60 * 24 * MINUTE), 'a day later').toMatch(new RegExp(`  can go since ${iso}$`))
  })

  test('lets a key go whose notAfter has passed', async () => {
    configure(`keys: [{ secret: ${KEY}, id: old, notAfter: 2026-01-01 }, ${SECOND}]`)
    const { out } = await run('keys list')
    expect(out).toMatch(/^old .* {2}expired {2}known to 0 of 0 .* {2}can go since 2026-01-01T00:00:00\.000Z$/m)
    expect(out).toMatch(/^second .* {2}signs {2}/m)
  })

  test('prints the keys without replicas if the store is in memory', async () => {
    configure(`keys: [${FIRST}]`, 'sqlite::memory:')
    expect(await run('keys list')).toEqual({
      code: 0,
      out: 'first  created 2026-01-01T00:00:00.000Z  signs\n',
      err: 'the store is in the memory of the server: this command cannot see its replicas\n',
    })
  })

  test('prints neither a key nor its fingerprint', async () => {
    configure(`keys: [${FIRST}, ${SECOND}]`)
    await announce('a', [first, second])
    const { out } = await run('keys list')
    expect(out).not.toMatch(/[0-9a-f]{32}/)
    expect(out).not.toContain(KEY)
  })
})

describe('keys add', () => {
  test('appends a valid key of 32 random bytes and changes nothing else in the file', async () => {
    const before = configure(BOTH)
    const { code, out, err } = await run('keys add')
    const { id, secret } = addedKey(read())
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(read()).toBe(
      before.replace(
        `  - ${SECOND}\n`,
        `  - ${SECOND}\n  - { secret: "${secret}", id: "${id}", created: "2026-01-02T03:04:05Z" }\n`,
      ),
    )
    expect(bytes(secret)).toHaveLength(32)
    expect(out).toBe(
      `added ${id} to ${file}: it verifies, and signs nothing yet\nnext: kill -HUP every replica, then trimint keys promote ${id}\n`,
    )
    expect((await run('check-config')).out).toContain('keys: 3\n')
    expect((await run('keys list')).out).toMatch(/^first .* signs .*\nsecond .*\n2026-01-02-.* verifies /)
  })

  test('does not print the key that it writes', async () => {
    configure(BOTH)
    const { out } = await run('keys add')
    expect(out).not.toContain(addedKey(read()).secret)
  })

  test.each([0o600, 0o640, 0o664])('keeps the mode of the file: %o', async (mode) => {
    configure(BOTH)
    chmodSync(file, mode)
    expect((await run('keys add')).code).toBe(0)
    expect(statSync(file).mode & 0o7777).toBe(mode)
  })

  test.skipIf(process.getuid?.() !== 0)('keeps the owner of the file, so that the service can read it', async () => {
    configure(BOTH)
    chownSync(file, 65_534, 65_533)
    expect((await run('keys add')).code).toBe(0)
    expect(statSync(file)).toMatchObject({ uid: 65_534, gid: 65_533 })
  })

  test('follows a link to the file and keeps the link', async () => {
    configure(BOTH)
    const link = join(root, `link-${folders}`)
    symlinkSync(file, link)
    expect((await run('keys add', { variables: { TRIMINT_CONFIG: link } })).code).toBe(0)
    expect(readlinkSync(link)).toBe(file)
    expect(addedKey(read()).secret).not.toBe('')
  })

  test('loses no key when several commands run in parallel, and names the reason of each that fails', {
    timeout: 60_000,
  }, async () => {
    configure(BOTH)
    const env = { PATH: process.env.PATH, TRIMINT_CONFIG: file }
    const words = [...(await programWords()), 'keys', 'add']
    const add = () => promisify(execFile)(process.execPath, words, { env })
    const outcomes = await Promise.allSettled([add(), add(), add()])
    const text = read()
    for (const [secret] of text.matchAll(/(?<=secret: ")[\w-]{43}/g)) trackSecret(secret)
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []))
    expect(text.match(/id: "/g)).toHaveLength(outcomes.length - failures.length)
    for (const failure of failures) expect(failure.message).toMatch(/nothing was written, try again/)
  })

  test('does not write while another command writes the file', async () => {
    const before = configure(BOTH)
    const temporary = join(folder, '.trimint.yaml.new')
    writeFileSync(temporary, '')
    expect(await run('keys add')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(
        /^another command is writing .*; nothing was written, try again \(if none is running, delete /,
      ),
    })
    rmSync(temporary)
    expect(read()).toBe(before)
  })

  test('adds a second key when run twice', async () => {
    configure(BOTH)
    for (let count = 0; count < 2; count++) await run('keys add', { randomness: systemRandomness })
    expect((await run('check-config')).out).toContain('keys: 4\n')
  })

  test.each([
    ['is too short, beside a good one', `keys: [${FIRST}, { secret: ${KEY.slice(0, 42)} }]`],
    ['is 31 bytes', `keys: [{ secret: ${Buffer.alloc(31, 1).toString('base64url')} }]`],
    ['is no base64url', `keys: [{ secret: "${'='.repeat(43)}" }]`],
  ])('rejects a file in which a key %s, with its line, and does not change it', async (_what, keys) => {
    const before = configure(keys)
    for (const words of ['keys add', 'keys list', 'keys promote --force']) {
      const { code, out, err } = await run(words)
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toMatch(
        /trimint\.yaml:3:\d+ keys\[\d\]\.secret: invalid value; expected base64url of 32 random bytes/,
      )
    }
    expect(read()).toBe(before)
  })

  test('prints the new list if it cannot edit the list in the file', async () => {
    // After the move, *s would come before its anchor.
    const text = configure(`keys: [{ secret: &s ${KEY} }, { secret: *s, id: again }]`)
    const { code, out, err } = await run('keys promote --force again')
    expect(code).toBe(0)
    expect(err).toMatch(/nothing was written: this command cannot edit its list of keys as it is written/)
    expect(out).toMatch(/^keys:\n {2}- secret: .*\n {4}id: "again"\n {2}- secret: .*\n/)
    expect(out).not.toContain(KEY)
    expect(read()).toBe(text)
  })
})

describe('a file that cannot be edited', () => {
  test('gets the edit and the variable to set if keys come from the environment', async () => {
    const before = configure(`keys:\n  - secret: "\${TRIMINT_KEY}"\n    id: first`)
    const { code, out, err } = await run('keys add', { variables: { TRIMINT_KEY: KEY } })
    const secret = /^export TRIMINT_KEY_2=([\w-]{43})$/m.exec(out)?.[1] ?? ''
    const id = /id: "(2026-01-02-[0-9a-f]{6})"/.exec(out)?.[1]
    trackSecret(secret)
    expect(code).toBe(0)
    expect(err).toBe(
      `${file}: nothing was written: the keys come from the environment or from separate files. Replace its keys with:\n`,
    )
    const list = `keys:\n  - secret: "\${TRIMINT_KEY}"\n    id: "first"\n  - secret: "\${TRIMINT_KEY_2}"\n    id: "${id}"\n    created: "2026-01-02T03:04:05Z"\n`
    expect(out).toBe(
      `${list}\nexport TRIMINT_KEY_2=${secret}\n\nnext: restart every replica, one after the other, with this variable (a reload does not read new variables), then trimint keys promote ${id}\n`,
    )
    expect(read()).toBe(before)

    writeFileSync(file, before.replace(/keys:\n.*\n.*\n/, list))
    const variables = { TRIMINT_KEY: KEY, TRIMINT_KEY_2: secret }
    expect((await run('check-config', { variables })).out).toContain('keys: 2\n')
    const third = await run('keys add', { variables })
    trackSecret(/TRIMINT_KEY_3=(.*)/.exec(third.out)?.[1] ?? '')
    expect(third.out).toMatch(/^export TRIMINT_KEY_3=/m)
    const promoted = await run(`keys promote ${id} --force`, { variables })
    expect(promoted.out).toMatch(
      /^keys:\n {2}- secret: "\$\{TRIMINT_KEY_2\}"\n(.*\n){2} {2}- secret: "\$\{TRIMINT_KEY\}"\n/,
    )
    expect(promoted.out).toContain('\nnext: kill -HUP every replica')
  })

  test('does not reuse a variable that is already set', async () => {
    configure(`keys: [{ secret: "\${TRIMINT_KEY}" }]`)
    const { out } = await run('keys add', { variables: { TRIMINT_KEY: KEY, TRIMINT_KEY_2: OTHER_KEY } })
    expect(out).toMatch(/^export TRIMINT_KEY_3=/m)
    trackSecret(/TRIMINT_KEY_3=(.*)/.exec(out)?.[1] ?? '')
  })

  test('gets the edit and the content of the next file if keys come from files', async () => {
    writeFileSync(join(root, 'key'), `${KEY}\n`)
    const before = configure(`keys: [{ secret: "file:${join(root, 'key')}" }]`)
    const { code, out } = await run('keys add')
    const secret = new RegExp(`^write this key to ${join(root, 'key-2')}:\n([\\w-]{43})$`, 'm').exec(out)?.[1] ?? ''
    trackSecret(secret)
    expect({ code, length: bytes(secret).length }).toEqual({ code: 0, length: 32 })
    expect(out).toContain(`- secret: "file:${join(root, 'key-2')}"\n`)
    expect(out).toMatch(/\nnext: kill -HUP every replica, then trimint keys promote /)
    expect(read()).toBe(before)
  })

  test('gets the edit without its keys if it is read-only', async () => {
    const before = configure(BOTH)
    chmodSync(file, 0o444)
    const { code, out, err } = await run('keys add')
    const { id } = addedKey(out)
    expect(code).toBe(0)
    expect(err).toContain('nothing was written: it cannot be written (EACCES)')
    expect(out).toContain(`next: kill -HUP every replica, then trimint keys promote ${id}\n`)
    expect(out.match(/secret: "\(unchanged\)"/g)).toHaveLength(2)
    expect(out).not.toContain(KEY)
    expect(out).not.toContain(OTHER_KEY)
    expect(read()).toBe(before)
  })

  test.skipIf(process.getuid?.() !== 0)('gets the edit, and no temporary file, if its owner would change', async () => {
    const before = configure(BOTH)
    chmodSync(file, 0o666)
    for (const path of [root, folder]) chownSync(path, 65_534, 65_534)
    const options = { uid: 65_534, gid: 65_534, env: { PATH: process.env.PATH, TRIMINT_CONFIG: file } }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['src/main.ts', 'keys', 'add'], options)
    trackSecret(/secret: "([\w-]{43})"/.exec(stdout)?.[1] ?? '')
    expect(stderr).toContain('nothing was written: it cannot be written (EPERM)')
    expect(read()).toBe(before)
  })

  test('reports that the built-in demo has no file', async () => {
    const home = process.cwd()
    process.chdir(folder)
    const NONE = { TRIMINT_CONFIG: '' }
    const unstarted = await run('keys add', { variables: NONE })
    mkdirSync('data')
    writeFileSync('data/development.key', KEY)
    const outcomes = [await run('keys add', { variables: NONE }), await run('keys promote', { variables: NONE })]
    const list = await run('keys list', { variables: NONE })
    process.chdir(home)
    expect(unstarted).toMatchObject({
      code: 1,
      err: expect.stringContaining('no configuration file and no key of the demo'),
    })
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringMatching(/^no configuration file, and the key of the built-in demo/),
      })
    }
    expect(list.out).toBe('development  created unknown  signs\n')
  })
})

describe('keys promote', () => {
  test('moves the newest key to the first place once every running replica has it', async () => {
    const before = configure(BOTH)
    await announce('a', [first, second])
    await announce('b', [first, second])
    expect(await run('keys promote')).toEqual({
      code: 0,
      out: `second is the first key of ${file}\nnext: kill -HUP every replica; from then on it signs. trimint keys list says when the others can go\n`,
      err: '',
    })
    expect(read()).toBe(before.replace(BOTH, SWAPPED))
    expect((await run('keys list')).out).toMatch(/^second .* signs .*\nfirst .* verifies .* still signs in 2 of 2\n$/)
  })

  test('fails while a replica does not have the key, and names the replica', async () => {
    const before = configure(BOTH)
    await announce('a', [first, second])
    await announce('replica-b', [first])
    const { code, out, err } = await run('keys promote second')
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/^second is missing in 1 of 2 running replicas, .*: replica-b\. /)
    expect(read()).toBe(before)
  })

  test('fails while a replica has the key in only one of its configurations', async () => {
    configure(BOTH)
    const store = await openStore('replicas', storeName())
    const parts = { store, instance: createInstance('a'), lifetimeSeconds: 600, clock: createFrozenClock() }
    const replaced = createHeartbeat({ ...parts, keyring: [first] })
    await replaced.announce()
    await createHeartbeat({ ...parts, keyring: [first, second] }).announce()
    expect(await run('keys promote')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^second is missing in 1 of 1 running replicas/),
    })
    await replaced.leave()
    expect(await run('keys promote')).toMatchObject({ code: 0 })
    await store.close()
  })

  test('fails if the running replicas have another key with that name', async () => {
    configure(BOTH)
    const foreign = createKeyring([
      { id: 'first', secret: bytes(KEY) },
      { id: 'second', secret: Buffer.alloc(32, 1) },
    ])
    await announce('a', foreign)
    expect(await run('keys promote')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^second is missing in 1 of 1 running replicas/),
    })
  })

  test('fails while no replica is running', async () => {
    const before = configure(BOTH)
    const refused = { code: 1, out: '', err: expect.stringMatching(/^no replica is running/) }
    expect(await run('keys promote')).toEqual(refused)
    await announce('a', [first, second])
    expect(await run('keys promote', { now: FROZEN_TIME + 15_000 })).toEqual(refused)
    expect(read()).toBe(before)
  })

  test('fails if the store is in memory', async () => {
    configure(BOTH, 'sqlite::memory:')
    expect(await run('keys promote')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^the store is in the memory of the server: .*--force/),
    })
  })

  test.each(['sqlite::memory:', 'redis://127.0.0.1:1/0'])('--force does not read the store: %s', async (store) => {
    const before = configure(BOTH, store)
    expect((await run('keys promote --force')).code).toBe(0)
    expect(read()).toBe(before.replace(BOTH, SWAPPED))
  })

  test('reports a store that does not answer, and promotes nothing', async () => {
    const before = configure(BOTH, 'redis://127.0.0.1:1/0')
    expect(await run('keys promote')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^the store does not answer/),
    })
    expect(read()).toBe(before)
  })

  test('does not return to the old key when run twice, but does if named', async () => {
    const before = configure(BOTH)
    await run('keys promote --force')
    expect(await run('keys promote --force')).toMatchObject({ code: 1, err: 'second is already the first key\n' })
    expect((await run('keys promote first --force')).code).toBe(0)
    expect(read()).toBe(before)
  })

  test('takes the last key as the newest if no key has a date', async () => {
    configure(`keys: [{ secret: ${KEY} }, { secret: ${OTHER_KEY} }]`)
    expect((await run('keys promote --force')).code).toBe(0)
    expect(read()).toContain(`keys: [{ secret: ${OTHER_KEY} }, { secret: ${KEY} }]`)
  })

  const refusals: [what: string, keys: string, words: string, says: string][] = [
    ['an unknown key', `[${FIRST}]`, 'third', 'no key is named third; expected one of first\n'],
    ['the first key', `[${FIRST}, ${SECOND}]`, 'first', 'first is already the first key\n'],
    ['a list of one key', `[${FIRST}]`, '', 'first is already the first key\n'],
    ['an expired key', `[${FIRST}, { secret: ${OTHER_KEY}, notAfter: 2026-01-02 }]`, 'key-2', 'key-2 has expired\n'],
    [
      'a name of two keys',
      `[{ secret: ${KEY} }, { secret: ${OTHER_KEY}, id: key-1 }]`,
      'key-1',
      'several keys are named key-1; expected a unique id\n',
    ],
  ]
  test.each(refusals)('rejects %s', async (_what, keys, words, says) => {
    const before = configure(`keys: ${keys}`)
    expect(await run(`keys promote --force ${words}`)).toEqual({ code: 1, out: '', err: says })
    expect(read()).toBe(before)
  })

  test('does not overwrite a change made at the same time', async () => {
    configure(BOTH)
    await announce('a', [first, second])
    const promoted = run('keys promote')
    appendFileSync(file, '# a comment from elsewhere\n')
    expect(await promoted).toMatchObject({
      code: 1,
      err: `${file} was changed at the same time; nothing was written, try again\n`,
    })
    expect(read()).toMatch(/the old one[\s\S]*the new one[\s\S]*# a comment from elsewhere\n$/)
  })
})
