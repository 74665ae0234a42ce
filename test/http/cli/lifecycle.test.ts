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
  ])('prints what introspection returns for a %s token, and consumes no try', async (contract, issue) => {
    const token = await issue()
    const { code, out } = await run('inspect', token)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual(JSON.parse((await introspect(service, token)).body))
    expect(JSON.parse(out)).toMatchObject({ active: true, trimint: { contract } })
  })

  test('shows the tries that a gateway has counted', async () => {
    const token = await issueBws(service)
    await checkBws(service, 'verify', token)
    expect(JSON.parse((await run('inspect', token)).out)).toMatchObject({ trimint: { triesAllowed: 3, triesLeft: 2 } })
  })

  test('prints only that a token is not active, with exit code 1', async () => {
    const { code, out, err } = await run('inspect', 'nonsense')
    expect({ code, out: JSON.parse(out), err }).toEqual({
      code: 1,
      out: { active: false },
      err: 'the token is not active\n',
    })
  })

  test('reads the token from standard input, so that the shell history does not have it', async () => {
    const input = `${await issueBws(service)}\n`
    expect(await runOn(file, ['inspect'], input)).toMatchObject({ code: 0 })
  })
})

describe('trimint revoke', () => {
  test.each([
    ['bws', () => issueBws(service)],
    ['idscan', () => issueIdscan(service)],
    ['nevisfido', async () => (await createToken(service, 'registration')).token],
  ])('revokes a %s token, and returns when the running server rejects it', async (contract, issue) => {
    const token = await issue()
    expect(await run('revoke', token)).toMatchObject({
      code: 0,
      out: expect.stringMatching(`^revoked  ${contract} token `),
    })
    expect(await isActive(token)).toBe(false)
    expect(await run('revoke', token)).toMatchObject({ code: 1, err: expect.stringContaining('nothing revoked') })
  })

  test('reads the token from standard input', async () => {
    const token = await issueBws(service)
    expect(await runOn(file, ['revoke', '-'], `${token}\n`)).toMatchObject({ code: 0 })
    expect(await isActive(token)).toBe(false)
  })

  test.each([
    ['--app', APP.id, () => issueBws(service)],
    ['--account', ACCOUNT.username, () => issueIdscan(service)],
    ['--user', 'jeff', async () => (await createToken(service, 'registration')).token],
  ])('%s revokes everything issued so far, and nothing that is issued afterwards', async (option, name, issue) => {
    const before = [await issue(), await issue()]
    expect(await run('revoke', option, name)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^revoked {2}everything issued to \w+ \S+ up to now\n$/),
    })
    const after = await issue()
    expect(await Promise.all([...before, after].map((token) => isActive(token)))).toEqual([false, false, true])
  })

  test("--user revokes a user's tokens and fails their sessions, and leaves those of other users", async () => {
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
    [['--app', 'typo'], 'unknown app'],
    [['--account', 'typo'], 'unknown account'],
    [[], 'expected exactly one of'],
    [['a.b.c', '--app', 'app-1'], 'expected exactly one of'],
  ])('rejects %j, which would revoke nothing', async (words, message) => {
    expect(await run('revoke', ...words)).toMatchObject({ code: 1, out: '', err: expect.stringContaining(message) })
  })

  test('rejects an unknown user, and finds an account in any case if case is insensitive', async () => {
    const accounts = [{ ...ACCOUNT, username: 'Psc' }]
    const strict = write('strict.yaml', {
      ...configuration,
      idscan: { usernameCase: 'insensitive', accounts },
      nevisfido: { ...OPEN, users: ['anna'] },
    })
    expect(await runOn(strict, ['revoke', '--user', 'ana'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('unknown user'),
    })
    expect(await runOn(strict, ['revoke', '--account', 'pSC'])).toMatchObject({
      code: 0,
      out: 'revoked  everything issued to account Psc up to now\n',
    })
  })

  test.each(['--app', '--account'])('rejects %s of a contract that is off', async (option) => {
    const off = write('off.yaml', { ...configuration, bws: false, idscan: false })
    expect(await runOn(off, ['revoke', option, 'psc'])).toMatchObject({ code: 1 })
  })

  test('reports a store in the memory of the server', async () => {
    const inMemory = write('memory.yaml', { ...configuration, store: 'sqlite::memory:' })
    expect(await runOn(inMemory, ['revoke', '--app', 'app-1'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('memory of the server'),
    })
  })

  test('reports a store that does not answer', async () => {
    const gone = write('gone.yaml', { ...configuration, store: 'redis://127.0.0.1:1/0' })
    const token = await issueBws(service)
    expect(await runOn(gone, ['revoke', token])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^the store does not answer: /),
    })
  })
})
