import { cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { request } from 'undici'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import { systemClock } from '../../../src/app/system-clock.ts'
import type { Trimint } from '../../../src/app/trimint.ts'
import { openStores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { hasProgram } from '../../support/programs.ts'
import { type RedisNode, startSentinels } from '../../support/redis-nodes.ts'
import { APP, KEY } from '../../support/service.ts'

const root = mkdtempSync(join(tmpdir(), 'trimint-cli-store-'))
afterAll(() => rmSync(root, { recursive: true }))

/** Of each test: the configuration file, and the folder of its store. */
let file: string
let data: string
let folders = 0
beforeEach(() => {
  const folder = join(root, String(folders++))
  mkdirSync(folder)
  file = join(folder, 'trimint.yaml')
  data = join(folder, 'data')
  const keys = [
    { secret: KEY, id: 'first' },
    { secret: Buffer.alloc(32, 'x').toString('base64url'), id: 'second' },
  ]
  const content = { publicUrl: 'https://t.example.com', store: 'sqlite:data/trimint.db', keys, bws: { apps: [APP] } }
  writeFileSync(file, JSON.stringify(content))
})

const run = (words: string) => runTrimint(words, { variables: { TRIMINT_CONFIG: file }, clock: systemClock })
const start = () => startTrimint({ configFile: file })
const createStore = async () => (await openStores(`sqlite:${join(data, 'trimint.db')}`)).close()

const COMMANDS = [
  'inspect no-token',
  'revoke no-token',
  `revoke --app ${APP.id}`,
  'guard list',
  'guard lift --all',
  'keys promote second',
]

test.each(COMMANDS)('%s fails where there is no store, and creates none', async (words) => {
  expect(await run(words)).toEqual({
    code: 1,
    out: '',
    err: `the store cannot be opened: ${join(data, 'trimint.db')} does not exist; expected the store of a server, which creates it when it starts: see TRIMINT_CONFIG and store\n`,
  })
  expect(readdirSync(join(data, '..'))).toEqual(['trimint.yaml'])
})

test('keys list prints the keys where there is no store, fails, and creates none', async () => {
  expect(await run('keys list')).toEqual({
    code: 1,
    out: 'first  created unknown  signs\nsecond  created unknown  verifies\n',
    err: expect.stringMatching(/^the store cannot be opened: .* does not exist; /),
  })
  expect(readdirSync(join(data, '..'))).toEqual(['trimint.yaml'])
})

test.each(COMMANDS)('%s fails where the store has been moved away from its server', async (words) => {
  await using _trimint = await start()
  renameSync(data, `${data}-moved`)
  expect(await run(words)).toMatchObject({ code: 1, err: expect.stringContaining('does not exist') })
  expect(readdirSync(join(data, '..')).toSorted()).toEqual(['data-moved', 'trimint.yaml'])
})

const WARNING = 'warning: no running server has announced itself in this store; is it the store of your servers?\n'

test.each([
  ['inspect no-token', 1],
  ['revoke no-token', 1],
  [`revoke --app ${APP.id}`, 0],
  ['guard list', 0],
  ['guard lift --all', 1],
])('%s warns where no server runs on the store', async (words, code) => {
  await createStore()
  const outcome = await run(words)
  expect(outcome.code).toBe(code)
  expect(outcome.err.startsWith(WARNING)).toBe(true)
})

test('warns for a copy of the store, and not for the store of a running server', async () => {
  await using _trimint = await start()
  expect(await run(`revoke --app ${APP.id}`)).toMatchObject({ code: 0, err: '' })
  await _trimint.close()
  expect(await run(`revoke --app ${APP.id}`)).toMatchObject({ code: 0, err: WARNING })
})

describe('GET /readyz', () => {
  async function readiness({ url }: Trimint): Promise<unknown> {
    const { statusCode, body } = await request(`${url}/readyz`)
    return [statusCode, await body.json()]
  }
  const READY = [200, { status: 'ready' }]
  const MOVED = [503, { status: 'not_ready', reasons: ['store_moved'], serving: ['bws'] }]

  test('answers store_moved while the folder of the store is not at its path', async () => {
    await using trimint = await start()
    expect(await readiness(trimint)).toEqual(READY)
    renameSync(data, `${data}-moved`)
    expect(await readiness(trimint)).toEqual(MOVED)
    // Another file in its place is not the store.
    cpSync(`${data}-moved`, data, { recursive: true })
    expect(await readiness(trimint)).toEqual(MOVED)
    rmSync(data, { recursive: true })
    writeFileSync(data, '')
    expect(await readiness(trimint)).toEqual(MOVED)
    rmSync(data)
    renameSync(`${data}-moved`, data)
    expect(await readiness(trimint)).toEqual(READY)
  })

  test.each(['trimint.db', 'trimint.db-wal', 'trimint.db-shm'])(
    'answers store_moved after %s was deleted',
    async (name) => {
      await using trimint = await start()
      rmSync(join(data, name))
      expect(await readiness(trimint)).toEqual(MOVED)
    },
  )

  test('answers 200 while commands and other servers open the store and close it', async () => {
    await using trimint = await start()
    await (await start()).close()
    await run('guard list')
    expect(await readiness(trimint)).toEqual(READY)
  })
})

test('store check fails where there is no store, and passes once store migrate has created one', async () => {
  expect(await run('store check')).toMatchObject({ code: 1, err: expect.stringContaining('does not exist') })
  const path = join(data, 'trimint.db')
  expect(await run('store migrate')).toEqual({ code: 0, out: `sqlite:${path} is of this release\n`, err: '' })
  expect(await run('store check')).toEqual({
    code: 0,
    out: `sqlite:${path} can be read and written, and is of this release\n`,
    err: expect.stringContaining('no running server'),
  })
  await using _server = await start()
  expect(await run('store check')).toMatchObject({ code: 0, err: '' })
})

test.skipIf(!hasProgram('redis-server'))(
  'store check covers the topology, the replicas and the rights of a Redis',
  async () => {
    await using nodes = await startSentinels({ replicas: 1 })
    const [primary, replica] = nodes.servers as [RedisNode, RedisNode]
    await using stores = new AsyncDisposableStack()
    const { replicas, close } = await openStores(nodes.url)
    stores.defer(close)
    const now = systemClock()
    await replicas.announce({ id: 'a', instance: 'a', keys: [], expires: now + 60_000 }, new Map())
    expect(await run(`store check ${nodes.url}?wait=1`)).toEqual({
      code: 0,
      out: `${nodes.url}?wait=1 can be read and written, and is of this release\n`,
      err: 'warning: wait=1: the loss of a replica stops all writes\n',
    })
    await nodes.sentinels[2]?.kill()
    const { code, err } = await run(`store check ${nodes.url}`)
    expect(code).toBe(0)
    expect(err).toMatch(
      /^warning: no answer from Sentinel .*\nwarning: without \?wait=1, a fail-over loses the last writes\n$/,
    )

    replica.freeze()
    expect(await run(`store check ${nodes.url}?wait=1`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^the store does not answer: (0 of 1 replicas have confirmed|Redis has not answered) .*\n$/,
      ),
    })
    replica.thaw()
    await primary.send('ACL', 'SETUSER', 'narrow', 'on', '>pw', '~trimint:*', '+@all', '-xadd')
    const narrow = nodes.url.replace('//', '//narrow:pw@')
    expect(await run(`store check ${narrow}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('the Redis user lacks the rights to: XADD trimint:revocations'),
    })
  },
)
