import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/app/system-clock.ts'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { openStores } from '../../../src/store/open-stores.ts'
import { type Outcome, runTrimint } from '../../support/command.ts'
import { ACCOUNT } from '../../support/idscan.ts'
import { checkBws, introspect, issueBws, issueIdscan, RESOURCE_SERVERS } from '../../support/lifecycle.ts'
import { askStatus, codeOf, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { APP, KEY, type Service, startService } from '../../support/service.ts'

const folder = mkdtempSync(join(tmpdir(), 'trimint-cli-'))
const store = `sqlite:${join(folder, 'trimint.db')}`
const configuration: ConfigurationInput = {
  publicUrl: 'https://tokens.example.com',
  store,
  keys: [{ secret: KEY }],
  bws: { apps: [APP] },
  idscan: { accounts: [ACCOUNT] },
  nevisfido: OPEN,
  resourceServers: RESOURCE_SERVERS,
}
const file = write('trimint.yaml', configuration)
const stores = await openStores(store, { onError: () => undefined, onFatal: () => undefined })
const service = await startService({ configuration, stores })
afterAll(async () => {
  await service.close()
  await stores.close()
  rmSync(folder, { recursive: true })
})

function write(name: string, content: ConfigurationInput): string {
  const path = join(folder, name)
  writeFileSync(path, JSON.stringify(content))
  return path
}

const runOn = (configured: string, words: readonly string[], input = ''): Promise<Outcome> =>
  runTrimint(words, { variables: { TRIMINT_CONFIG: configured }, clock: systemClock, input })

const run = (...words: string[]): Promise<Outcome> => runOn(file, words)

const isActive = async (token: string, at: Service = service): Promise<boolean> =>
  (JSON.parse((await introspect(at, token)).body) as { active: boolean }).active

describe('trimint inspect', () => {
  test.each([
    ['bws', () => issueBws(service)],
    ['idscan', () => issueIdscan(service)],
    ['nevisfido', async () => (await createToken(service, 'registration')).token],
  ])('says what introspection says of a %s token, and uses nothing up', async (contract, issue) => {
    const token = await issue()
    const { code, out } = await run('inspect', token)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual(JSON.parse((await introspect(service, token)).body))
    expect(JSON.parse(out)).toMatchObject({ active: true, trimint: { contract } })
  })

  test('sees the tries that a gateway has counted', async () => {
    const token = await issueBws(service)
    await checkBws(service, 'verify', token)
    expect(JSON.parse((await run('inspect', token)).out)).toMatchObject({ trimint: { triesAllowed: 3, triesLeft: 2 } })
  })

  test('of what is not good, says only that, with exit code 1', async () => {
    const { code, out, err } = await run('inspect', 'nonsense')
    expect({ code, out: JSON.parse(out), err }).toEqual({
      code: 1,
      out: { active: false },
      err: 'the token is not good\n',
    })
  })

  test('reads the token from standard input, so that it is in no history', async () => {
    const input = `${await issueBws(service)}\n`
    expect(await runOn(file, ['inspect'], input)).toMatchObject({ code: 0 })
  })
})

describe('trimint revoke', () => {
  test.each([
    ['bws', () => issueBws(service)],
    ['idscan', () => issueIdscan(service)],
    ['nevisfido', async () => (await createToken(service, 'registration')).token],
  ])('revokes a %s token; when it comes back that is in force in the running server', async (contract, issue) => {
    const token = await issue()
    expect(await run('revoke', token)).toMatchObject({
      code: 0,
      out: expect.stringMatching(`^revoked  ${contract} token `),
    })
    expect(await isActive(token)).toBe(false)
    expect(await run('revoke', token)).toMatchObject({ code: 1, err: expect.stringContaining('nothing to revoke') })
  })

  test('takes the token from standard input too', async () => {
    const token = await issueBws(service)
    expect(await runOn(file, ['revoke', '-'], `${token}\n`)).toMatchObject({ code: 0 })
    expect(await isActive(token)).toBe(false)
  })

  test.each([
    ['--app', APP.id, () => issueBws(service)],
    ['--account', ACCOUNT.username, () => issueIdscan(service)],
    ['--user', 'jeff', async () => (await createToken(service, 'registration')).token],
  ])('%s: everything issued up to now, and nothing that is issued afterwards', async (option, name, issue) => {
    const before = [await issue(), await issue()]
    expect(await run('revoke', option, name)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^revoked {2}everything issued to \w+ \S+ up to now\n$/),
    })
    const after = await issue()
    expect(await Promise.all([...before, after].map((token) => isActive(token)))).toEqual([false, false, true])
  })

  test("--user: a user's tokens redeem no more, and their sessions have failed; other users' go on", async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    const redeemed = await createToken(service, 'registration')
    expect(codeOf(await redeem(service, 'registration', redeemed.token))).toBe(1200)
    const other = await createToken(service, 'authentication', {
      body: JSON.stringify({ op: 'Auth', context: JSON.stringify({ username: 'anna' }) }),
    })
    const nobody = await createToken(service, 'authentication', { body: JSON.stringify({ op: 'Auth', context: '{}' }) })
    await run('revoke', '--user', 'jeff')
    expect(codeOf(await redeem(service, 'registration', token))).toBe(1491)
    expect(JSON.parse((await askStatus(service, sessionId)).body)).toMatchObject({ status: 'failed', userId: 'jeff' })
    expect(JSON.parse((await askStatus(service, redeemed.sessionId)).body)).toMatchObject({ status: 'failed' })
    expect(codeOf(await redeem(service, 'authentication', other.token))).toBe(1200)
    expect(codeOf(await redeem(service, 'authentication', nobody.token))).toBe(1200)
  })

  test.each([
    [['--app', 'typo'], 'there is no such app'],
    [['--account', 'typo'], 'there is no such account'],
    [[], 'say what to revoke'],
    [['a.b.c', '--app', 'app-1'], 'one of them'],
  ])('%j is refused: it would revoke nothing, and look as if it had', async (words, message) => {
    expect(await run('revoke', ...words)).toMatchObject({ code: 1, out: '', err: expect.stringContaining(message) })
  })

  test('a user that is not in the repository is refused; an account is found in any case where case does not matter', async () => {
    const accounts = [{ ...ACCOUNT, username: 'Psc' }]
    const strict = write('strict.yaml', {
      ...configuration,
      idscan: { usernameCase: 'insensitive', accounts },
      nevisfido: { ...OPEN, users: ['anna'] },
    })
    expect(await runOn(strict, ['revoke', '--user', 'ana'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no such user'),
    })
    expect(await runOn(strict, ['revoke', '--account', 'pSC'])).toMatchObject({
      code: 0,
      out: 'revoked  everything issued to account Psc up to now\n',
    })
  })

  test.each(['--app', '--account'])('%s of a contract that is off is refused', async (option) => {
    const off = write('off.yaml', { ...configuration, bws: false, idscan: false })
    expect(await runOn(off, ['revoke', option, 'psc'])).toMatchObject({ code: 1 })
  })

  test('says so where the store is the memory of the server', async () => {
    const inMemory = write('memory.yaml', { ...configuration, store: 'sqlite::memory:' })
    expect(await runOn(inMemory, ['revoke', '--app', 'app-1'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('memory of the server'),
    })
  })

  test('says what a store that is away says', async () => {
    const gone = write('gone.yaml', { ...configuration, store: 'redis://127.0.0.1:1/0' })
    const token = await issueBws(service)
    expect(await runOn(gone, ['revoke', token])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^the store does not answer: /),
    })
  })
})
