import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { hashSync } from '@node-rs/argon2'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/app/system-clock.ts'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import { runCommand } from '../../src/cli/program.ts'
import { openStores } from '../../src/store/open-stores.ts'
import { CALLER, getToken, messageOf, QUERY } from '../support/bws.ts'
import { ACCOUNT, jsonOf, LOGIN, login, PATH } from '../support/idscan.ts'
import { CLIENT, codeOf, create, OPEN, UAF } from '../support/nevisfido.ts'
import { KEY, type Reply, type Service, startService } from '../support/service.ts'
import { openStore } from '../support/stores.ts'
import { createFrozenClock } from '../support/time.ts'

const guard = { accountFailures: 3, addressFailures: 4, window: '1m', block: '2m' }
const idscan = { accounts: [ACCOUNT, { ...ACCOUNT, username: 'other' }] }
/** Lets clients set their address, as a trusted proxy does. */
const configuration = { guard, idscan, trustProxy: ['loopback'] }
const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })

/** Every route that takes a secret: a wrong guess, a correct call, and the contract's reply to a block. */
const routes = [
  {
    route: 'GET /token',
    row: 'B22',
    failures: guard.addressFailures,
    wrong: (service: Service, address: string) =>
      getToken(service, QUERY, { ...from(address), as: { id: CALLER.id, secret: 'a wrong secret 5a1c' } }),
    unknown: (service: Service, address: string) =>
      getToken(service, QUERY, { ...from(address), as: { id: 'nobody', secret: 'a wrong secret 5a1c' } }),
    right: (service: Service, address: string) => getToken(service, QUERY, from(address)),
    refused: 401,
    blocked: (reply: Reply) => expect(messageOf(reply)).toMatch(/Too many failed attempts/),
  },
  {
    route: `POST ${PATH}`,
    row: 'I24',
    failures: guard.accountFailures,
    wrong: (service: Service, address: string) =>
      login(service, { ...LOGIN, password: 'wrong password' }, from(address)),
    unknown: (service: Service, address: string) => login(service, { ...LOGIN, username: 'nobody' }, from(address)),
    right: (service: Service, address: string) => login(service, LOGIN, from(address)),
    refused: 400,
    blocked: (reply: Reply) => expect(jsonOf(reply).error).toBe('temporarily_unavailable'),
  },
]

/** nevisFIDO has no code for a block: every fault of credentials is 1401, inside HTTP 200. */
describe('POST /nevisfido/token/create/registration', () => {
  const protect = { ...configuration, nevisfido: { ...OPEN, protect: ['registration' as const] } }
  const ask = async (service: Service, address: string, as = CLIENT) =>
    codeOf(
      await create(service, 'registration', {
        headers: { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json', ...from(address).headers },
        as,
      }),
    )

  test('N7: after too many failures a correct secret is 1401 until the block ends, from that address alone', async () => {
    const clock = createFrozenClock()
    await using service = await startService({ clock, configuration: protect })
    for (let count = 0; count < 4; count++) {
      expect(
        await ask(service, '10.0.0.1', { id: count % 2 ? 'nobody' : CLIENT.id, secret: 'a wrong secret 5a1c' }),
      ).toBe(1401)
      expect(service.log.at(-1)?.reason).not.toBe('blocked')
    }
    expect(await ask(service, '10.0.0.1')).toBe(1401)
    expect(service.log.at(-1)).toMatchObject({ reason: 'blocked' })
    expect(await ask(service, '10.0.0.2')).toBe(1200)
    clock.advance(120_000)
    expect(await ask(service, '10.0.0.1')).toBe(1200)
  })
})

describe.each(routes)('$route', ({ row, failures, wrong, unknown, right, refused, blocked }) => {
  const clock = createFrozenClock()

  test(`${row}: after too many failures is 429 with Retry-After until the block ends, for a correct secret too`, async () => {
    await using service = await startService({ clock, configuration })
    for (let count = 0; count < failures; count++) expect((await wrong(service, '10.0.0.1')).status).toBe(refused)
    for (const attempt of [wrong, right]) {
      const reply = await attempt(service, '10.0.0.1')
      expect(reply).toMatchObject({ status: 429, headers: { 'retry-after': '120' } })
      // Other credentials would not help.
      expect(reply.headers).not.toHaveProperty('www-authenticate')
      blocked(reply)
      expect(service.log.at(-1)).toMatchObject({ event: 'token.refused', reason: 'blocked' })
    }
    clock.advance(119_001)
    expect(await right(service, '10.0.0.1')).toMatchObject({ status: 429, headers: { 'retry-after': '1' } })
    clock.advance(999)
    expect(await right(service, '10.0.0.1')).toMatchObject({ status: 200 })
  })

  test(`${row}: does not block other addresses`, async () => {
    await using service = await startService({ clock, configuration })
    for (let count = 0; count <= failures; count++) await wrong(service, '10.0.0.1')
    expect((await right(service, '10.0.0.2')).status).toBe(200)
    expect((await right(service, '2001:db8::1')).status).toBe(200)
  })

  test(`${row}: counts and blocks unknown names like known ones`, async () => {
    await using service = await startService({ clock, configuration })
    for (let count = 0; count < failures; count++) expect((await unknown(service, '10.0.0.1')).status).toBe(refused)
    expect((await unknown(service, '10.0.0.1')).status).toBe(429)
  })

  test(`${row}: counts IPv6 addresses per /64`, async () => {
    await using service = await startService({ clock, configuration })
    for (let count = 0; count < failures; count++) await wrong(service, `2001:db8:1:2::${count}`)
    expect((await right(service, '2001:db8:1:2:ffff::9')).status).toBe(429)
    expect((await right(service, '2001:db8:1:3::1')).status).toBe(200)
  })

  test(`${row}: ignores X-Forwarded-For from untrusted peers`, async () => {
    await using service = await startService({ clock, configuration: { ...configuration, trustProxy: false } })
    for (let count = 0; count < failures; count++) await wrong(service, `10.0.0.${count}`)
    expect((await right(service, '10.0.0.99')).status).toBe(429)
  })

  test(`${row}: blocks nothing when the guard is off`, async () => {
    await using service = await startService({ clock, configuration: { ...configuration, guard: false } })
    for (let count = 0; count < failures * 2; count++) await wrong(service, '10.0.0.1')
    expect((await right(service, '10.0.0.1')).status).toBe(200)
  })

  test(`${row}: counts failures at two instances on one store together`, async () => {
    const failureStore = await openStore('failures', 'sqlite::memory:')
    await using one = await startService({ configuration, stores: { failures: failureStore } })
    await using two = await startService({ configuration, stores: { failures: failureStore } })
    for (let count = 0; count < failures; count++) await wrong(count % 2 ? one : two, '10.0.0.1')
    for (const service of [one, two]) {
      await expect.poll(async () => (await right(service, '10.0.0.1')).status).toBe(429)
    }
  })
})

test('I24: a block applies to one account from one address, not to other accounts or addresses', async () => {
  await using service = await startService({ configuration })
  for (let count = 0; count < 4; count++)
    await login(service, { ...LOGIN, password: 'wrong password' }, from('10.0.0.1'))
  expect((await login(service, LOGIN, from('10.0.0.1'))).status).toBe(429)
  expect((await login(service, { ...LOGIN, username: 'other' }, from('10.0.0.1'))).status).toBe(200)
  expect((await login(service, LOGIN, from('10.0.0.2'))).status).toBe(200)
  expect((await getToken(service, QUERY, from('10.0.0.1'))).status).toBe(200)
})

test('I24: a success resets the count of failures', async () => {
  await using service = await startService({ configuration })
  for (let round = 0; round < 3; round++) {
    for (let count = 0; count < 2; count++) await login(service, { ...LOGIN, password: 'wrong password' })
    expect((await login(service)).status).toBe(200)
  }
})

test('I9: a malformed request does not count as a failure', async () => {
  await using service = await startService({ configuration })
  for (let count = 0; count < 10; count++) await login(service, { ...LOGIN, password: '' })
  expect((await login(service)).status).toBe(200)
})

test('I24: queued guesses are not checked once the account is blocked', async () => {
  const accounts = [{ username: 'slow', password: hashSync('the password', { memoryCost: 65_536, timeCost: 2 }) }]
  await using service = await startService({ configuration: { ...configuration, idscan: { accounts } } })
  const attempts = Array.from({ length: 20 }, (_, at) =>
    fetch(service.url + PATH, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'password',
        username: 'slow',
        password: at === 19 ? 'the password' : 'a guess',
      }),
    }).then(({ status }) => status),
  )
  const statuses = await Promise.all(attempts)
  expect(statuses.filter((status) => status === 400)).toHaveLength(3)
  expect(statuses.filter((status) => status === 429)).toHaveLength(17)
})

test('I24, B22: while the store is unavailable the guard counts in memory and logs that', async () => {
  const away = async (): Promise<never> => {
    throw new Error('the store is away')
  }
  const failureStore = {
    add: away,
    block: away,
    remove: away,
    subtract: away,
    list: away,
    sweep: away,
    close: async () => undefined,
  }
  await using service = await startService({ configuration, stores: { failures: failureStore } })
  expect((await getToken(service, QUERY)).status).toBe(200)
  expect((await login(service)).status).toBe(200)
  for (let count = 0; count < 3; count++)
    expect((await login(service, { ...LOGIN, password: 'wrong password' })).status).toBe(400)
  expect((await login(service)).status).toBe(429)
  expect(service.log.filter(({ event }) => event === 'store.failed')).toMatchObject([{ error: 'the store is away' }])
  expect(service.log).toContainEqual(
    expect.objectContaining({ event: 'guard.blocked', key: 'account psc from 127.0.0.1' }),
  )
})

/** Runs a command with this configuration; `out` is both outputs together. */
async function runWith(file: string, words: string): Promise<{ code: number; out: string }> {
  let out = ''
  const sink = new Writable({
    write(chunk, _encoding, done) {
      out += chunk
      done()
    },
  })
  const io = {
    stdin: Readable.from([]),
    stdout: sink,
    stderr: sink,
    variables: { TRIMINT_CONFIG: file },
    clock: systemClock,
    randomness: systemRandomness,
    serve: async () => undefined,
  }
  return { code: await runCommand(words.split(' '), io), out }
}

describe('trimint guard', () => {
  async function withService(
    use: (service: Service, run: (words: string) => Promise<{ code: number; out: string }>) => Promise<void>,
  ) {
    const folder = mkdtempSync(join(tmpdir(), 'trimint-guard-'))
    const store = `sqlite:${join(folder, 'trimint.db')}`
    const stores = await openStores(store)
    const file = join(folder, 'trimint.yaml')
    writeFileSync(
      file,
      `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\nstore: "${store}"\nguard: { accountFailures: 3, addressFailures: 4 }\n`,
    )
    const run = (words: string) => runWith(file, words)
    await using service = await startService({ configuration, stores })
    await use(service, run)
    await stores.close()
    rmSync(folder, { recursive: true })
  }

  test('list shows counts and blocks, and lift ends a block within a second', () =>
    withService(async (service, run) => {
      for (let count = 0; count < 3; count++)
        await login(service, { ...LOGIN, password: 'wrong password' }, from('10.0.0.1'))
      await login(service, { ...LOGIN, username: 'my-password-as-a-name' }, from('10.0.0.2'))
      const { code, out } = await run('guard list')
      expect(code).toBe(0)
      expect(out).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}3 {2}blocked until {2}account psc from 10\.0\.0\.1$/m)
      expect(out).toMatch(/ 3 {2}counted until {2}account psc from everywhere$/m)
      expect(out).toMatch(/ 1 {2}counted until {2}account unknown-[0-9a-f]{16} from 10\.0\.0\.2$/m)
      expect(out).not.toContain('my-password-as-a-name')

      expect(await run('guard lift --account psc --address 10.0.0.1')).toEqual({
        code: 0,
        out: 'lifted  account psc from 10.0.0.1\n',
      })
      await expect.poll(async () => (await login(service, LOGIN, from('10.0.0.1'))).status).toBe(200)
      expect(await run('guard lift --account psc')).toEqual({ code: 0, out: 'lifted  account psc from everywhere\n' })
      expect(await run('guard lift --account psc')).toMatchObject({
        code: 1,
        out: expect.stringContaining('nothing lifted'),
      })
    }))

  test('lift --address removes every count of an address, and --all every count', () =>
    withService(async (service, run) => {
      await login(service, { ...LOGIN, password: 'wrong password' }, from('2001:db8:1:2::1'))
      await getToken(service, QUERY, {
        ...from('2001:db8:1:2::1'),
        as: { id: CALLER.id, secret: 'a wrong secret 5a1c' },
      })
      const { out } = await run('guard lift --address 2001:db8:1:2::ffff')
      expect(out.trim().split('\n').toSorted()).toEqual([
        'lifted  account psc from 2001:db8:1:2::/64',
        'lifted  address 2001:db8:1:2::/64',
        'lifted  passwords from 2001:db8:1:2::/64',
      ])
      expect(await run('guard lift --all')).toEqual({ code: 0, out: 'lifted  account psc from everywhere\n' })
      expect(await run('guard list')).toEqual({ code: 0, out: '' })
    }))

  test('lift without a target is rejected', () =>
    withService(async (_service, run) => {
      expect(await run('guard lift')).toMatchObject({ code: 1, out: expect.stringMatching(/--account, --address/) })
    }))

  test.each([
    ['"sqlite::memory:"', /in the memory of the server/],
    ['redis://127.0.0.1:1/0', /does not answer/],
    ['sqlite:/dev/null/trimint.db', /store: .*ENOTDIR/],
  ])('reports that the store %s cannot be used', async (store, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'trimint-guard-'))
    const file = join(folder, 'trimint.yaml')
    writeFileSync(file, `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\nstore: ${store}\n`)
    expect(await runWith(file, 'guard list')).toMatchObject({ code: 1, out: expect.stringMatching(message) })
    rmSync(folder, { recursive: true })
  })
})
