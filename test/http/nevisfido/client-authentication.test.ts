import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { trackSecret } from '../../support/leak-recorder.ts'
import { bodyFor, CLIENT, codeOf, create, OPEN, OPERATIONS, type Operation } from '../../support/nevisfido.ts'
import { basic, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const { privateKey, publicKey } = await generateKeyPair('ES256')
const extractable = await generateKeyPair('ES256', { extractable: true })
const foreign = await generateKeyPair('ES256')
const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }
const ISSUER = 'https://login.example.com'
const AUDIENCE = 'https://tokens.example.com'
const clock = createFrozenClock()
const now = () => Math.floor(clock() / 1000)

const limited = { id: 'limited', secret: 'plain:the limited secret', users: ['jeff', 'anna'] }
const nevisfido = {
  ...OPEN,
  protect: ['registration' as const, 'authentication' as const],
  users: ['jeff', 'anna', 'kim'],
  clients: [...(OPEN.clients ?? []), limited],
  bearer: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [jwk as typeof jwk & { kty: 'EC' }] } },
}
const service = await startService({ clock, configuration: { guard: false, nevisfido } })
afterAll(() => service.close())

interface Claims {
  readonly sub?: string
  readonly iss?: string
  readonly aud?: string
  readonly exp?: number | null
  readonly nbf?: number
}

async function bearer(claims: Claims = {}, key = privateKey, header = { alg: 'ES256', kid: 'k1' }): Promise<string> {
  const { exp = now() + 60, ...rest } = claims
  const payload = { sub: 'jeff', iss: ISSUER, aud: AUDIENCE, ...rest, ...(exp === null ? {} : { exp }) }
  const token = await new SignJWT(payload).setProtectedHeader(header).sign(key)
  trackSecret(token)
  return `Bearer ${token}`
}

const ask = async (
  authorization: string | undefined,
  operation: Operation = 'registration',
  context: unknown = { username: 'jeff' },
  at: Service = service,
) =>
  codeOf(
    await create(at, operation, {
      headers: authorization === undefined ? {} : { authorization },
      body: bodyFor(operation, context),
    }),
  )

const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey.export({ format: 'jwk' })
const { crv: _crv, ...withoutCurve } = jwk

const UNUSABLE_KEYS: [what: string, key: object, alg: string, signature: string][] = [
  ['malformed RSA key', { kty: 'RSA', n: '!', e: 'AQAB' }, 'RS256', ''],
  ['RSA key without a modulus', { kty: 'RSA', e: 'AQAB' }, 'PS512', 'AAAA'],
  ['short RSA key', shortRsa, 'RS256', Buffer.alloc(128).toString('base64url')],
  ['point that is not on its curve', { ...jwk, x: Buffer.alloc(32, 1).toString('base64url') }, 'ES256', 'AAAA'],
  ['EC key without a curve', withoutCurve, 'ES256', ''],
  ['Ed25519 key of a wrong length', { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }, 'EdDSA', ''],
  ['key of a type that does not exist', { kty: 7 }, 'RS256', ''],
  ['private key', { ...(await exportJWK(extractable.privateKey)) }, 'ES256', 'AAAA'],
]

/** Starts an issuer that serves its keys, or what `answer` says. */
async function startIssuer(keys: readonly object[]) {
  const issuer = { url: '', fetches: 0, answer: {} as { status?: number; body?: string } }
  const server = createServer((_request, response) => {
    issuer.fetches += 1
    const { status = 200, body = JSON.stringify({ keys }) } = issuer.answer
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  return Object.assign(issuer, { [Symbol.asyncDispose]: async () => void server.close() })
}

const startRemote = (jwksUrl: string) =>
  startService({
    clock,
    configuration: {
      guard: false,
      nevisfido: { ...nevisfido, bearer: { issuer: ISSUER, audience: AUDIENCE, jwksUrl } },
    },
  })

const askRemote = async (remote: Service) => ask(await bearer(), 'registration', undefined, remote)

describe('credentials', () => {
  test('N7: requires credentials for registration and deregistration by default, not for authentication', async () => {
    const { protect: _protect, ...rest } = OPEN
    await using standard = await startService({ configuration: { guard: false, nevisfido: rest } })
    const codes = await Promise.all(OPERATIONS.map(async ({ operation }) => codeOf(await create(standard, operation))))
    expect(codes).toEqual([1401, 1200, 1401])
    expect(codeOf(await create(standard, 'deregistration', { as: CLIENT }))).toBe(1200)
  })

  test.each([
    ['no header', undefined, 'missing_authorization'],
    ['an empty header', '', 'missing_authorization'],
    ['a wrong secret', basic(CLIENT.id, 'a wrong secret 5a1c'), 'bad_secret'],
    ['an unknown client', basic('nobody', CLIENT.secret), 'unknown_client'],
    ['no colon', `Basic ${Buffer.from('backend').toString('base64')}`, 'malformed_authorization'],
    ['another scheme', 'Digest x', 'malformed_authorization'],
    ['Bearer without a token', 'Bearer', 'malformed_authorization'],
    ['Bearer with text that is not a JWT', 'Bearer abc', 'bad_bearer'],
  ])('N7: returns 1401 in HTTP 200 for %s, and logs the reason', async (_what, authorization, reason) => {
    const reply = await create(service, 'registration', {
      headers: authorization === undefined ? {} : { authorization },
    })
    expect(reply).toMatchObject({ status: 200, body: '{"statusCode":1401}' })
    expect(reply.headers).not.toHaveProperty('www-authenticate')
    expect(service.log.at(-1)).toMatchObject({ event: 'token.refused', contract: 'nevisfido', reason })
  })

  test('N7: ignores Authorization at an unprotected operation', async () => {
    for (const authorization of [undefined, 'nonsense', basic('nobody', 'a wrong secret 5a1c'), 'Bearer abc']) {
      expect(await ask(authorization, 'deregistration')).toBe(1200)
    }
  })

  test('N7: returns 1401 while the guard blocks the address', async () => {
    const guard = { addressFailures: 3 }
    await using guarded = await startService({ configuration: { guard, nevisfido } })
    for (let count = 0; count < 3; count++)
      await ask(basic(CLIENT.id, 'a wrong secret 5a1c'), 'registration', undefined, guarded)
    expect(await ask(basic(CLIENT.id, CLIENT.secret), 'registration', undefined, guarded)).toBe(1401)
    expect(guarded.log.at(-1)).toMatchObject({ reason: 'blocked' })
    expect(await ask(await bearer(), 'registration', undefined, guarded)).toBe(1401)
    expect(await ask(undefined, 'deregistration', undefined, guarded)).toBe(1200)
  })

  test('N8: accepts Basic of a configured client', async () => {
    expect(await ask(basic(CLIENT.id, CLIENT.secret))).toBe(1200)
    expect(service.log.at(-1)).toMatchObject({ client: 'backend' })
  })

  test('N8: accepts Bearer of the configured issuer, acting for its sub', async () => {
    expect(await ask(await bearer())).toBe(1200)
    expect(service.log.at(-1)).toMatchObject({ client: `${ISSUER} jeff` })
    expect(await ask((await bearer()).replace('Bearer', 'bearer'))).toBe(1200)
    expect(await ask(await bearer({ sub: 'anna' }))).toBe(1403)
  })

  test('N8: returns 1401 for a Bearer that does not match the configuration', async () => {
    const forged = [
      await bearer({ iss: 'https://other.example.com' }),
      await bearer({ aud: 'https://other.example.com' }),
      await bearer({ exp: now() - 5 }),
      await bearer({ exp: null }),
      await bearer({ nbf: now() + 6 }),
      await bearer({}, foreign.privateKey),
      `Bearer ${await new SignJWT({ iss: ISSUER, aud: AUDIENCE, exp: now() + 60 }).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)}`,
      `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ sub: 'jeff', iss: ISSUER, aud: AUDIENCE, exp: now() + 60 })).toString('base64url')}.`,
      `Bearer ${await new SignJWT({ sub: 'jeff', iss: ISSUER, aud: AUDIENCE, exp: now() + 60 }).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(new TextEncoder().encode(JSON.stringify(jwk)))}`,
    ]
    for (const authorization of forged) expect(await ask(authorization), authorization).toBe(1401)
  })

  test.each([
    [undefined, 5],
    ['0s', 0],
    ['1m', 60],
  ])('N8: accepts a Bearer that is early or late by less than a leeway of %s', async (leeway, seconds) => {
    const configured = { ...nevisfido, bearer: { ...nevisfido.bearer, ...(leeway === undefined ? {} : { leeway }) } }
    await using lenient = await startService({ clock, configuration: { guard: false, nevisfido: configured } })
    const statusOf = async (claims: Claims) => ask(await bearer(claims), 'registration', undefined, lenient)
    expect(await statusOf({ nbf: now() + seconds })).toBe(1200)
    expect(await statusOf({ nbf: now() + seconds + 1 })).toBe(1401)
    expect(await statusOf({ exp: now() - seconds + 1 })).toBe(1200)
    expect(await statusOf({ exp: now() - seconds })).toBe(1401)
  })

  test.each([5, null, '', {}, 'x'.repeat(129), '\ud800'])('N8: returns 1401 for a sub of %j', async (sub) => {
    const payload = { sub: sub as string, iss: ISSUER, aud: AUDIENCE, exp: now() + 60 }
    const token = await new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(privateKey)
    for (const operation of ['registration', 'authentication'] as const) {
      expect(await ask(`Bearer ${token}`, operation, operation === 'authentication' ? {} : undefined)).toBe(1401)
    }
  })

  test('N8: returns 1401 for a Bearer when no issuer is configured', async () => {
    const { bearer: _bearer, ...rest } = nevisfido
    await using none = await startService({ clock, configuration: { guard: false, nevisfido: rest } })
    expect(await ask(await bearer(), 'registration', undefined, none)).toBe(1401)
  })

  test('N8, N13: fetches keys once and keeps them, and returns 1500 while they are unavailable', async () => {
    await using issuer = await startIssuer([jwk])
    await using remote = await startRemote(issuer.url)
    const oversized = JSON.stringify({ keys: [jwk], more: 'x'.repeat(1024 * 1024) })
    for (const broken of [{ status: 500 }, { body: 'no JSON' }, { body: '{"keys":"none"}' }, { body: oversized }]) {
      issuer.answer = broken
      expect(await askRemote(remote)).toBe(1500)
      issuer.answer = {}
      // After a failure, keys are not fetched for two seconds, so that a flood of requests causes no flood of fetches.
      for (let count = 0; count < 3; count++) expect(await askRemote(remote)).toBe(1500)
      clock.advance(2_000)
    }
    expect(issuer.fetches).toBe(4)
    for (let count = 0; count < 5; count++) expect(await askRemote(remote)).toBe(1200)
    expect(issuer.fetches).toBe(5)
  })

  test('N8: goes on accepting callers with a known key while the fetch for an unknown one fails', async () => {
    await using issuer = await startIssuer([jwk])
    await using remote = await startRemote(issuer.url)
    expect(await askRemote(remote)).toBe(1200)
    issuer.answer = { status: 500 }
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 })
    const invented = await bearer({}, foreign.privateKey, { alg: 'ES256', kid: 'invented' })
    expect(await ask(invented, 'registration', undefined, remote)).toBe(1500)
    expect(issuer.fetches).toBe(2)
    expect(await askRemote(remote)).toBe(1200)
    expect(await ask(invented, 'registration', undefined, remote)).toBe(1500)
    expect(issuer.fetches).toBe(2)
    vi.useRealTimers()
  })

  test('N8: uses the present keys of the issuer once a clock that was a year ahead is set right', async () => {
    const keys: object[] = [jwk]
    const year = 365 * 24 * 3_600_000
    await using issuer = await startIssuer(keys)
    await using remote = await startRemote(issuer.url)
    await using failing = await startRemote(issuer.url)
    const askWith = async (key = privateKey, kid = 'k1', at = remote) =>
      ask(await bearer({}, key, { alg: 'ES256', kid }), 'registration', undefined, at)
    const right = Date.now()
    vi.useFakeTimers({ toFake: ['Date'], now: right + year })
    clock.advance(year)
    expect(await askWith()).toBe(1200)
    issuer.answer = { status: 500 }
    expect(await askRemote(failing)).toBe(1500)
    issuer.answer = {}
    vi.setSystemTime(right)
    clock.advance(-year)
    keys.splice(0, 1, { ...(await exportJWK(foreign.publicKey)), kid: 'k2', alg: 'ES256' })
    expect(await askWith(foreign.privateKey, 'k2'), 'a new key').toBe(1200)
    expect(await askWith(), 'a key that the issuer has withdrawn').toBe(1401)
    expect(await askWith(foreign.privateKey, 'k2', failing), 'after a failure in the future').toBe(1200)
    vi.useRealTimers()
  })

  test.each(UNUSABLE_KEYS)(
    "N8: returns 1401 for a JWT that names the issuer's %s, and goes on accepting others",
    async (_what, key, alg, signature) => {
      await using issuer = await startIssuer([jwk, { ...key, kid: 'unusable' }])
      await using remote = await startRemote(issuer.url)
      const payload = { sub: 'jeff', iss: ISSUER, aud: AUDIENCE, exp: now() + 60 }
      const parts = [{ alg, kid: 'unusable' }, payload].map((part) =>
        Buffer.from(JSON.stringify(part)).toString('base64url'),
      )
      const forged = `Bearer ${[...parts, signature].join('.')}`
      for (let count = 0; count < 3; count++) {
        expect(await ask(forged, 'registration', undefined, remote)).toBe(1401)
        expect(remote.log.at(-1)).toMatchObject({ event: 'token.refused', reason: 'bad_bearer' })
        expect(await askRemote(remote)).toBe(1200)
      }
      expect(remote.log.filter(({ level }) => level === 'error')).toEqual([])
      expect(issuer.fetches).toBe(1)
    },
  )
})

describe('users', () => {
  const limitedCaller = basic('limited', 'the limited secret')

  test('N11: accepts Auth without a user', async () => {
    expect(await ask(basic(CLIENT.id, CLIENT.secret), 'authentication', {})).toBe(1200)
  })

  test('N11: requires a user from a client limited to some users, and uses the sub of a Bearer as default', async () => {
    expect(await ask(limitedCaller, 'authentication', {})).toBe(1403)
    expect(await ask(limitedCaller, 'authentication', { username: 'jeff' })).toBe(1200)
    expect(await ask(await bearer(), 'authentication', {})).toBe(1200)
    expect(await ask(await bearer({ sub: 'nobody' }), 'authentication', {})).toBe(1403)
  })

  test.each([
    ['not in the credential repository', basic(CLIENT.id, CLIENT.secret), 'nobody', 'unknown_user'],
    ['in another case', basic(CLIENT.id, CLIENT.secret), 'Jeff', 'unknown_user'],
    ['that the client may not act for', limitedCaller, 'kim', 'user_not_allowed'],
  ])('N12: returns 1403 for a user %s', async (_what, authorization, username, reason) => {
    expect(await ask(authorization, 'registration', { username })).toBe(1403)
    expect(service.log.at(-1)).toMatchObject({ reason })
  })

  test('N12: checks the credential repository also at unprotected operations', async () => {
    expect(await ask(undefined, 'deregistration', { username: 'nobody' })).toBe(1403)
    expect(await ask(undefined, 'deregistration', { username: 'anna' })).toBe(1200)
  })
})
