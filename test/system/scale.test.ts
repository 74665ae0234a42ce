import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/app/system-clock.ts'
import { MAX_STALENESS_MS } from '../../src/core/revocations.ts'
import { getToken } from '../support/bws.ts'
import { runTrimint } from '../support/command.ts'
import { FULL } from '../support/full.ts'
import { encodeForm, jsonOf, LOGIN, PATH as LOGIN_PATH, login } from '../support/idscan.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { checkBws, checkIdscan, introspect, revoke } from '../support/lifecycle.ts'
import { askStatus, codeOf, create, createToken, redeem } from '../support/nevisfido.ts'
import { hasProgram } from '../support/programs.ts'
import {
  DEMO_API,
  DEMO_APP,
  DEMO_BACKEND,
  DEMO_LOGIN,
  type ScaledInstance,
  type ScaledSite,
  startScaledSite,
} from '../support/scale.ts'
import type { Answerer, Reply, RequestOptions } from '../support/service.ts'

// Two instances on one Redis keep every promise of the contract pages as one process does.

/** Tokens that several clients redeem at the same time. */
const ROUNDS = FULL ? 1_000 : 5
const TIMEOUT = FULL ? 600_000 : 60_000

const QUERY = `id=${DEMO_APP.id}&bcid=bws.112.12345`

/** Sends on behalf of an address, as nginx does. */
const from = (address: string): RequestOptions => ({ headers: { 'x-forwarded-for': address } })

async function issueBws(at: Answerer, query = ''): Promise<string> {
  const reply = await getToken(at, `${QUERY}${query}`, { as: DEMO_APP })
  expect(reply).toMatchObject({ status: 200 })
  trackSecret(reply.body)
  return reply.body
}

async function logIn(at: Answerer): Promise<string> {
  const reply = await login(at, { ...LOGIN, ...DEMO_LOGIN })
  expect(reply).toMatchObject({ status: 200 })
  return String(jsonOf(reply).access_token)
}

const isActive = async (at: Answerer, token: string): Promise<unknown> =>
  (JSON.parse((await introspect(at, token, { as: DEMO_API })).body) as { active: unknown }).active

const statusOf = async (at: Answerer, sessionId: string): Promise<unknown> =>
  (JSON.parse((await askStatus(at, sessionId)).body) as { status: unknown }).status

const times = <Result>(count: number, call: (index: number) => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)))

const sorted = (numbers: readonly number[]): number[] => numbers.toSorted((left, right) => left - right)

/** Runs the command line on the store of both instances. */
async function runCommand({ environment }: ScaledSite, ...words: string[]): Promise<void> {
  expect(await runTrimint(words, { variables: environment, clock: systemClock })).toMatchObject({ code: 0 })
}

interface Kind {
  readonly kind: string
  issue(at: Answerer): Promise<string>
  /** Uses it; returns the status or statusCode. */
  use(at: Answerer, token: string): Promise<number>
  readonly good: number
  readonly refused: number
}

const KINDS: readonly Kind[] = [
  {
    kind: 'B34: a BWS token',
    issue: (at) => issueBws(at),
    use: async (at, token) => (await checkBws(at, 'upload', token)).status,
    good: 200,
    refused: 401,
  },
  {
    kind: 'I30: an IDscan token',
    issue: logIn,
    use: async (at, token) => (await checkIdscan(at, 'scanning', token)).status,
    good: 200,
    refused: 401,
  },
  {
    kind: 'N22: a FIDO token',
    issue: async (at) => (await createToken(at, 'authentication')).token,
    use: async (at, token) => codeOf(await redeem(at, 'authentication', token)),
    good: 1200,
    refused: 1491,
  },
]

describe.skipIf(!hasProgram('redis-server') || !hasProgram('nginx'))('two instances on one Redis', () => {
  let site: ScaledSite
  let one: ScaledInstance
  let other: ScaledInstance
  beforeAll(async () => {
    site = await startScaledSite()
    ;[one, other] = site.instances
  }, 60_000)
  afterAll(() => site?.[Symbol.asyncDispose]())

  test('nginx sends requests to both', async () => {
    await times(20, () => issueBws(site.gateway))
    for (const { current } of site.instances) await current().sees(/"event":"token.issued"/)
  })

  describe.each(KINDS)('$kind', ({ issue, use, good, refused }) => {
    test('issued by one is accepted and introspected by the other', async () => {
      for (const [issuer, verifier] of [
        [one, other],
        [other, one],
      ] as const) {
        const token = await issue(issuer)
        expect(await isActive(verifier, token)).toBe(true)
        expect(await use(verifier, token)).toBe(good)
      }
    })

    test('revoked by one is rejected there at once, and by the other within a second', async () => {
      const token = await issue(one)
      expect(await isActive(other, token)).toBe(true)
      expect(await revoke(one, token, { as: DEMO_API })).toMatchObject({ status: 200 })
      expect(await use(one, token)).toBe(refused)
      await sleep(MAX_STALENESS_MS)
      expect(await use(other, token)).toBe(refused)
      expect(await isActive(other, token)).toBe(false)
    })
  })

  test('B34, I30, N22: both reject what `trimint revoke` revoked once the command returns', async () => {
    const tokens = await Promise.all(KINDS.map(({ issue }) => issue(one)))
    const holders = ['--app demo-app', '--account demo', '--user jeff']
    await Promise.all(holders.map((holder) => runCommand(site, 'revoke', ...holder.split(' '))))
    for (const [index, { issue, use, good, refused }] of KINDS.entries()) {
      for (const target of [one, other, site.gateway]) expect(await use(target, tokens[index] ?? '')).toBe(refused)
      expect(await use(other, await issue(one)), 'issued after the command').toBe(good)
    }
  })

  test('N24: a token is redeemed once, whichever instances are asked', { timeout: TIMEOUT }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { token } = await createToken(site.gateway, 'authentication')
      const targets = [site.gateway, one, site.gateway, other]
      const replies = await times(12, (index) =>
        redeem(targets[index % targets.length] ?? one, 'authentication', token),
      )
      expect(sorted(replies.map(codeOf))).toEqual([1200, ...Array(11).fill(1491)])
    }
  })

  test('N21, N22: a redemption for a wrong operation leaves the token redeemable at the other, a right one does not', async () => {
    const { token } = await createToken(one, 'registration', { as: DEMO_BACKEND })
    expect(codeOf(await redeem(other, 'authentication', token))).toBe(1498)
    expect(codeOf(await redeem(one, 'registration', token))).toBe(1200)
    expect(codeOf(await redeem(other, 'registration', token))).toBe(1491)
    expect(await isActive(other, token)).toBe(false)
  })

  test('N29, N30, N31, N32: both report the same status of a session', async () => {
    const cases = [
      { operation: 'registration', redeemed: 'clientRegistering' },
      { operation: 'authentication', redeemed: 'clientAuthenticating' },
      { operation: 'deregistration', redeemed: 'succeeded' },
    ] as const
    for (const { operation, redeemed } of cases) {
      const { token, sessionId } = await createToken(one, operation, { as: DEMO_BACKEND })
      for (const target of [one, other, site.gateway]) expect(await statusOf(target, sessionId)).toBe('tokenCreated')
      await redeem(other, operation, token)
      for (const target of [one, other, site.gateway]) expect(await statusOf(target, sessionId)).toBe(redeemed)
    }
    const { token, sessionId } = await createToken(one, 'authentication')
    await revoke(other, token, { as: DEMO_API })
    for (const target of [one, other]) expect(await statusOf(target, sessionId)).toBe('failed')
  })

  test('B35: both count the tries of a token together', async () => {
    const token = await issueBws(one, '&maxtries=3')
    const left = async (at: Answerer) => (await checkBws(at, 'verify', token)).headers['x-trimint-tries-left']
    expect(await left(one)).toBe('2')
    expect(await left(other)).toBe('1')
    expect(await left(site.gateway)).toBe('0')
    for (const target of [one, other]) expect((await checkBws(target, 'verify', token)).status).toBe(403)
    for (const target of [one, other]) expect((await checkBws(target, 'upload', token)).status).toBe(200)
  })

  test('B35: of many parallel tries exactly as many pass as the token has', { timeout: TIMEOUT }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const token = await issueBws(site.gateway, '&maxtries=3')
      const targets = [site.gateway, one, other]
      const replies = await times(12, (index) => checkBws(targets[index % targets.length] ?? one, 'verify', token))
      expect(sorted(replies.map(({ status }) => status))).toEqual([200, 200, 200, ...Array(9).fill(403)])
    }
  })

  interface Guess {
    readonly promise: string
    readonly address: string
    /** The number of failures that blocks. */
    readonly failures: number
    readonly wrong: (at: Answerer) => Promise<Reply>
    readonly right: (at: Answerer, address: string) => Promise<Reply>
    readonly isBlocked: (reply: Reply) => boolean
  }
  const isTooMany = ({ status }: Reply): boolean => status === 429
  const wrongApp = { id: DEMO_APP.id, secret: 'a wrong secret' }
  const wrongBackend = { id: DEMO_BACKEND.id, secret: 'a wrong secret' }
  const GUESSES: readonly Guess[] = [
    {
      promise: 'I24: wrong passwords',
      address: '10.1.0.1',
      failures: 10,
      wrong: (at) => login(at, { ...LOGIN, ...DEMO_LOGIN, password: 'a wrong password' }, from('10.1.0.1')),
      right: (at, address) => login(at, { ...LOGIN, ...DEMO_LOGIN }, from(address)),
      isBlocked: isTooMany,
    },
    {
      promise: 'I24: passwords for an unknown name',
      address: '10.1.0.2',
      failures: 10,
      wrong: (at) => login(at, { ...LOGIN, username: 'nobody', password: 'a wrong password' }, from('10.1.0.2')),
      right: (at, address) => login(at, { ...LOGIN, username: 'nobody', password: 'another' }, from(address)),
      isBlocked: isTooMany,
    },
    {
      promise: 'B22: wrong secrets of an app',
      address: '10.1.0.3',
      failures: 100,
      wrong: (at) => getToken(at, QUERY, { as: wrongApp, ...from('10.1.0.3') }),
      right: (at, address) => getToken(at, QUERY, { as: DEMO_APP, ...from(address) }),
      isBlocked: isTooMany,
    },
    {
      promise: 'N7: wrong secrets of a client',
      address: '10.1.0.4',
      failures: 100,
      wrong: (at) => create(at, 'registration', { as: wrongBackend, ...from('10.1.0.4') }),
      right: (at, address) => create(at, 'registration', { as: DEMO_BACKEND, ...from(address) }),
      isBlocked: (reply) => codeOf(reply) === 1401,
    },
  ]
  test.each(GUESSES)('$promise at both add up, and both block that address alone', async (guess) => {
    const { failures, wrong, right, isBlocked, address } = guess
    await times(failures / 2, () => wrong(one))
    await times(failures / 2, () => wrong(other))
    for (const instance of [one, other]) {
      await expect.poll(async () => isBlocked(await right(instance, address))).toBe(true)
      expect(isBlocked(await right(instance, '10.1.9.9'))).toBe(false)
    }
  })

  test('I24: `trimint guard lift` ends a block at both', async () => {
    const wrong = { ...LOGIN, ...DEMO_LOGIN, password: 'a wrong password' }
    await times(10, () => login(one, wrong, from('10.1.0.5')))
    const attempt = (at: Answerer) => login(at, { ...LOGIN, ...DEMO_LOGIN }, from('10.1.0.5'))
    for (const instance of [one, other]) {
      await expect.poll(async () => (await attempt(instance)).status).toBe(429)
    }
    await runCommand(site, 'guard', 'lift', '--account', 'demo', '--address', '10.1.0.5')
    for (const instance of [one, other]) {
      await expect.poll(async () => (await attempt(instance)).status).toBe(200)
    }
  })

  test('uses the client address that nginx sees, not one that the client sends', async () => {
    const wrong = { as: { id: DEMO_APP.id, secret: 'a wrong secret' }, headers: { 'x-forwarded-for': '10.9.9.9' } }
    await times(4, () => getToken(site.gateway, QUERY, wrong))
    for (const { current } of site.instances) await current().sees(/"reason":"bad_secret".*"address":"127.0.0.1"/)
    for (const instance of site.instances) expect(instance.log()).not.toContain('10.9.9.9')
  })

  test('refuses an oversized request as its contract prescribes, while others are served', async () => {
    const form = encodeForm({ ...LOGIN, ...DEMO_LOGIN, more: 'x'.repeat(200_000) })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const large = await times(4, () => site.gateway.request(LOGIN_PATH, { method: 'POST', body: form, headers }))
    for (const reply of large) {
      expect(reply.status).toBe(413)
      expect(jsonOf(reply)).toMatchObject({ error: 'invalid_request' })
    }
    const long = { authorization: `Bearer ${'x'.repeat(20_000)}` }
    const replies = await times(4, () => site.gateway.request('/authz/bws/upload', { headers: long }))
    for (const { status } of replies) expect(status).toBe(400)
    const others = await times(20, () => getToken(site.gateway, QUERY, { as: DEMO_APP }))
    for (const { status } of others) expect(status).toBe(200)
  })

  test('fails no request through nginx when an instance is killed, and keeps its answers', async () => {
    let isDone = false
    const kept: { token: string; sessionId: string }[] = []
    const callers = times(8, async () => {
      while (!isDone) {
        await issueBws(site.gateway)
        kept.push(await createToken(site.gateway, 'authentication'))
      }
    })
    await expect.poll(() => kept.length).toBeGreaterThan(16)
    await one.stop('SIGKILL')
    const before = kept.length
    await expect.poll(() => kept.length).toBeGreaterThan(before + 16)
    isDone = true
    await callers
    for (const { sessionId } of kept) expect(await statusOf(other, sessionId)).toBe('tokenCreated')
    await one.start()
    const codes = await Promise.all(kept.map(({ token }) => redeem(one, 'authentication', token)))
    expect(new Set(codes.map(codeOf))).toEqual(new Set([1200]))
  })
})
