import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { getToken, QUERY } from '../../support/bws.ts'
import { control, startDevelopment } from '../../support/development.ts'
import { ACCOUNT, LOGIN, login } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { checkBws, introspect, issueBws, revoke } from '../../support/lifecycle.ts'
import { askStatus, codeOf, create, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { hasProgram } from '../../support/programs.ts'
import { startRedis } from '../../support/redis.ts'
import type { Service } from '../../support/service.ts'
import { createStoreFolder } from '../../support/stores.ts'

const NEW = { id: 'new-app', secret: 'the secret of the new app' }

const SETTINGS = { nevisfido: { ...OPEN, users: ['ann', 'ben'] }, guard: { accountFailures: 2 } }

let service: Service
beforeAll(async () => {
  trackSecret(NEW.secret)
  service = await startDevelopment({ configuration: SETTINGS })
})
afterAll(() => service.close())
beforeEach(async () => {
  await control(service, 'POST', '/reset')
})

const patch = (body: unknown, at = service) => control(at, 'PATCH', '/configuration', body)
const show = async () => (await control(service, 'GET', '/configuration')).json

describe('L20: patches the configuration', () => {
  test('as a merge patch over what is in force: null removes a setting', async () => {
    expect((await patch({ bws: { lifetime: '1h' }, idscan: false })).json).toEqual({
      changed: ['bws.lifetime', 'idscan'],
      restart: [],
    })
    expect((await login(service)).status).toBe(404)
    expect((await show()).bws).toMatchObject({ lifetime: '1h', apps: [{ id: 'app-1' }] })
    await patch({ bws: { lifetime: null } })
    expect((await show()).bws).not.toHaveProperty('lifetime')
    expect((await show()).idscan).toBe(false)
  })

  test('with entries of lists by id: changes one, adds one, removes one', async () => {
    await patch({
      bws: { apps: { 'app-1': { tasks: ['enroll'] }, [NEW.id]: { secret: `plain:${NEW.secret}`, bcids: '*' } } },
    })
    expect((await getToken(service, QUERY)).status).toBe(403)
    expect((await getToken(service, `id=${NEW.id}&bcid=bws.1.1`, { as: NEW })).status).toBe(200)
    await patch({ bws: { apps: { 'app-1': null } } })
    expect((await getToken(service, QUERY)).status).toBe(401)
  })

  test('accounts by username, users by name', async () => {
    await patch({ idscan: { accounts: { psc: { disabled: true } } }, nevisfido: { users: { ben: null, cid: true } } })
    expect((await login(service)).status).toBe(400)
    expect((await show()).nevisfido).toMatchObject({ users: ['ann', 'cid'] })
    const ask = (name: string) =>
      create(service, 'authentication', {
        body: JSON.stringify({ op: 'Auth', context: JSON.stringify({ username: name }) }),
      })
    expect([codeOf(await ask('cid')), codeOf(await ask('ben'))]).toEqual([1200, 1403])
  })

  test('completely or not at all, and tells every fault', async () => {
    const before = await show()
    const { status, json } = await patch({
      bws: { lifetime: 'long', apps: { 'app-1': { tasks: ['sing'] } } },
      gard: false,
    })
    expect({ status, error: json.error }).toEqual({ status: 400, error: 'invalid_configuration' })
    expect(json.error_description).toMatch(
      /bws\.lifetime: .*bws\.apps\[0\]\.tasks.*gard: unknown key, did you mean guard/,
    )
    expect(await show()).toEqual(before)
    expect((await getToken(service, QUERY)).status).toBe(200)
  })

  test('and tells what takes effect at the next start only', async () => {
    expect((await patch({ control: { journal: 1 } })).json).toMatchObject({
      restart: ['control.journal'],
    })
  })

  test.each([[[]], ['text'], [null]])('L2: refuses %o', async (body) => {
    expect((await patch(body)).status).toBe(400)
  })

  test('in memory only: a reload and a reset drop it', async () => {
    await patch({ bws: false })
    await service.trimint.reload()
    expect((await getToken(service, QUERY)).status).toBe(200)
    await patch({ bws: false })
    await patch({ nevisfido: false })
    await control(service, 'POST', '/reset', { only: ['configuration'] })
    expect((await getToken(service, QUERY)).status).toBe(200)
  })
})

describe('L21: shows sessions and the guard', () => {
  test('live sessions with state and times', async () => {
    const { token, sessionId } = await createToken(service, 'authentication', {
      body: '{"op":"Auth","context":"{\\"username\\":\\"ann\\"}"}',
    })
    await redeem(service, 'authentication', token)
    const { sessions } = (await control(service, 'GET', '/sessions')).json as { sessions: Record<string, unknown>[] }
    const status = JSON.parse((await askStatus(service, sessionId)).body) as { status: string; timestamp: string }
    expect(sessions).toEqual([
      expect.objectContaining({
        operation: 'authentication',
        username: 'ann',
        status: status.status,
        changed: status.timestamp,
        created: expect.stringMatching(/Z$/),
        expires: expect.stringMatching(/Z$/),
      }),
    ])
  })

  test('counts of failed attempts, and lifts a block', async () => {
    for (let index = 0; index < 2; index++) await login(service, { ...LOGIN, password: 'wrong-password' })
    expect((await login(service)).status).toBe(429)
    const { counts } = (await control(service, 'GET', '/guard')).json as { counts: { key: string }[] }
    expect(counts).toContainEqual({
      key: 'account psc from 127.0.0.1',
      failures: 2,
      blocks: true,
      expires: expect.stringMatching(/Z$/),
    })
    for (const { key } of counts) {
      expect((await control(service, 'DELETE', `/guard/${encodeURIComponent(key)}`)).status).toBe(204)
    }
    expect((await login(service)).status).toBe(200)
  })
})

describe('L22: resets', () => {
  /** Changes everything that a reset restores. */
  async function disturb(at = service) {
    const token = await issueBws(at, 'maxtries=1')
    const revoked = await issueBws(at)
    await checkBws(at, 'verify', token)
    await revoke(at, revoked)
    const { token: fido } = await createToken(at, 'deregistration', {
      body: '{"op":"Dereg","context":"{\\"username\\":\\"ann\\"}"}',
    })
    for (let index = 0; index < 2; index++) await login(at, { ...LOGIN, password: 'wrong-password' })
    await control(at, 'PATCH', '/clock', { advance: '1s', freeze: true })
    await patch({ bws: { apps: { [NEW.id]: { secret: `plain:${NEW.secret}`, bcids: '*' } } } }, at)
    await control(at, 'POST', '/faults', { match: { path: '/nowhere' }, then: { status: 299 } })
    return { token, revoked, fido }
  }

  async function observe({ token, revoked, fido }: Awaited<ReturnType<typeof disturb>>, at = service) {
    const { requests } = (await control(at, 'GET', '/requests?path=/token')).json as { requests: unknown[] }
    return {
      journal: requests.length === 0,
      clock: (await control(at, 'GET', '/clock')).json.offset === 0,
      faults: (await at.request('/nowhere')).status === 404,
      configuration: (await getToken(at, `id=${NEW.id}&bcid=bws.1.1`, { as: NEW })).status === 401,
      guard: (await login(at)).status === 200,
      sessions: codeOf(await redeem(at, 'deregistration', fido)) === 1404,
      tries: (await checkBws(at, 'verify', token)).status === 200,
      revocations: (await introspect(at, revoked)).body !== '{"active":false}',
    }
  }

  const PARTS = ['clock', 'faults', 'journal', 'configuration', 'guard', 'sessions', 'tries', 'revocations']

  async function expectResetOfAll(at: Service): Promise<void> {
    const disturbed = await disturb(at)
    expect((await control(at, 'POST', '/reset')).status).toBe(204)
    expect(await observe(disturbed, at)).toEqual(Object.fromEntries(PARTS.map((part) => [part, true])))
  }

  test('everything, with a store in memory', () => expectResetOfAll(service))

  test('everything, with a SQLite file', async () => {
    const folder = createStoreFolder('reset')
    try {
      await using onFile = await startDevelopment({
        configuration: { ...SETTINGS, store: `sqlite:${join(folder, 'reset.db')}` },
      })
      await expectResetOfAll(onFile)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test.skipIf(!hasProgram('redis-server'))('everything, with Redis, and no key of others', async () => {
    await using redis = await startRedis()
    const client = createClient({ url: redis.url })
    await client.connect()
    try {
      await client.mSet({ 'other:record:1': 'a', 'trimint-record:1': 'b' })
      await using onRedis = await startDevelopment({ configuration: { ...SETTINGS, store: redis.url } })
      await expectResetOfAll(onRedis)
      await control(onRedis, 'POST', '/reset')
      const keys = (await client.keys('*')).filter(
        (key) => !/^trimint:(?:reserve|replicas|signing-keys|fence)/.test(key),
      )
      expect(keys.toSorted()).toEqual(['other:record:1', 'trimint-record:1'])
    } finally {
      await client.close()
    }
  })

  test.each(PARTS)('only %s', async (only) => {
    const disturbed = await disturb()
    expect((await control(service, 'POST', '/reset', { only: [only] })).status).toBe(204)
    expect(await observe(disturbed)).toEqual(Object.fromEntries(PARTS.map((part) => [part, part === only])))
  })

  test('L2: refuses unknown parts, and lists those there are', async () => {
    const { status, json } = await control(service, 'POST', '/reset', { only: ['fault'] })
    expect(status).toBe(400)
    for (const part of PARTS) expect(json.error_description).toContain(part)
  })

  test('within 20 ms of processor time, a patched configuration included', async () => {
    const times: number[] = []
    for (let round = 0; round < 5; round++) {
      await service.trimint.configure({ bws: { lifetime: '1h' } })
      await service.trimint.clock.advance('1h')
      const before = process.cpuUsage()
      await service.trimint.reset()
      const { user, system } = process.cpuUsage(before)
      times.push((user + system) / 1000)
    }
    expect(Math.min(...times)).toBeLessThan(20)
  })
})

test('L20: an account may be added by a name that the list does not have', async () => {
  const { username: _name, ...account } = ACCOUNT
  await patch({ idscan: { accounts: { added: account } } })
  expect((await login(service, { ...LOGIN, username: 'added' })).status).toBe(200)
})
