// The callers of the soak test: they issue tokens of each kind and use them.

import { Pool } from 'undici'
import type { ConfigurationInput } from '../../../src/config/schema.ts'

const APP_SECRET = 'the secret of the app'
const GATEWAY_SECRET = 'the secret of the gateway'
const PASSWORD = 'the password of the account'

/**
 * Short enough that tokens expire within a run; longer than a busy machine delays a caller, at the speed of the clock.
 */
const LIFETIME = '30m'

export const SOAKED: Omit<ConfigurationInput, 'store' | 'keys'> = {
  publicUrl: 'http://127.0.0.1:8080',
  bws: { lifetime: LIFETIME, apps: [{ id: 'app-1', secret: `plain:${APP_SECRET}`, client: 'soak', bcids: '*' }] },
  idscan: {
    lifetime: LIFETIME,
    enforceIdleTimeout: true,
    idleTimeout: '30m',
    accounts: [{ username: 'soak', password: `plain:${PASSWORD}`, areas: ['scanning'] }],
  },
  nevisfido: {
    appId: 'https://fido.example.com/facets',
    protect: [],
    users: '*',
    tokenLifetime: LIFETIME,
    anonymous: { maxTokens: 1_000_000_000, maxBytes: 1_000_000_000_000 },
  },
  resourceServers: [{ id: 'gateway', secret: `plain:${GATEWAY_SECRET}` }],
  // Other programs can keep the machine busy.
  overload: false,
}

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
const APP = basic('app-1', APP_SECRET)
const GATEWAY = basic('gateway', GATEWAY_SECRET)
const FORM = 'application/x-www-form-urlencoded'
const UAF = 'application/fido+uaf'
const LOGIN = new URLSearchParams({ grant_type: 'password', username: 'soak', password: PASSWORD, area: 'scanning' })
const CREATE = JSON.stringify({ op: 'Auth', context: '{"username":"jeff"}' })

/** Thrown when Trimint reports that its store is unavailable, which happens on a busy machine. */
const UNAVAILABLE = Symbol('the store is unavailable')

interface Load {
  /** Returns how many tokens of each kind have been issued. */
  issued(): number
  requests(): number
  /** Returns how often the store was unavailable. */
  unavailable(): number
  /** The unexpected answers, and how often each came. */
  readonly wrong: ReadonlyMap<string, number>
  /** Resolves when all tokens are issued, or after {@link stop}. */
  readonly done: Promise<void>
  stop(): void
}

/** Returns a source of pseudo-random numbers from 0 to 1, the same for the same seed (mulberry32). */
function createChance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface LoadSettings {
  readonly url: string
  /** Tokens of each kind. */
  readonly tokens: number
  /** Concurrent callers. */
  readonly callers: number
  readonly seed: number
}

export function startLoad({ url, tokens, callers, seed }: LoadSettings): Load {
  const pool = new Pool(url, { connections: 8, pipelining: Math.ceil(callers / 8) })
  const chance = createChance(seed)
  const wrong = new Map<string, number>()
  let requests = 0
  let unavailable = 0
  let issued = 0
  let isStopped = false

  async function ask(path: string, headers: Record<string, string>, body?: string): Promise<[number, string]> {
    requests += 1
    const method = body === undefined ? 'GET' : 'POST'
    const response = await pool.request({ path, method, headers, ...(body === undefined ? {} : { body }) })
    const text = await response.body.text()
    if (response.statusCode === 503 || text.includes('"statusCode":1500')) throw UNAVAILABLE
    return [response.statusCode, text]
  }

  function verify(step: string, isExpected: boolean, [status, body]: [number, string]): void {
    if (isExpected) return
    const what = `${step}: ${status} ${body.slice(0, 60)}`
    wrong.set(what, (wrong.get(what) ?? 0) + 1)
  }

  const post = (path: string, token: string) =>
    ask(path, { authorization: GATEWAY, 'content-type': FORM }, `token=${encodeURIComponent(token)}`)

  async function introspect(kind: string, token: string, isActive: boolean): Promise<void> {
    const reply = await post('/introspect', token)
    verify(`introspect ${kind}`, reply[0] === 200 && reply[1].startsWith(`{"active":${isActive}`), reply)
  }

  async function check(kind: string, path: string, authorization: string, status: number): Promise<void> {
    const reply = await ask(path, { authorization })
    verify(`check ${kind}`, reply[0] === status, reply)
  }

  async function revoke(kind: string, token: string): Promise<void> {
    const reply = await post('/revoke', token)
    verify(`revoke ${kind}`, reply[0] === 200, reply)
    await introspect(kind, token, false)
  }

  async function useBws(): Promise<void> {
    const path = '/token?id=app-1&bcid=bws.112.12345&task=verify&maxtries=2'
    const reply = await ask(path, { authorization: APP })
    verify('issue bws', reply[0] === 200, reply)
    const [, token] = reply
    if (chance() < 1 / 2) {
      await check('bws', '/authz/bws/verify', `Bearer ${token}`, 200)
      if (chance() < 1 / 16) {
        await check('bws', '/authz/bws/verify', `Bearer ${token}`, 200)
        await check('bws', '/authz/bws/verify', `Bearer ${token}`, 403)
      }
    } else if (chance() < 1 / 8) await introspect('bws', token, true)
    else if (chance() < 1 / 32) {
      await revoke('bws', token)
      await check('bws', '/authz/bws/verify', `Bearer ${token}`, 401)
    }
  }

  async function useIdscan(): Promise<void> {
    const reply = await ask('/idscanenterprisesvc/token', { 'content-type': FORM }, LOGIN.toString())
    verify('issue idscan', reply[0] === 200, reply)
    const { access_token: token } = JSON.parse(reply[1]) as { access_token: string }
    if (chance() < 1 / 4) await check('idscan', '/authz/idscan/scanning', token, 200)
    if (chance() < 1 / 16) await introspect('idscan', token, true)
    if (chance() < 1 / 64) {
      await revoke('idscan', token)
      await check('idscan', '/authz/idscan/scanning', token, 401)
    }
  }

  async function redeem(token: string, code: number): Promise<void> {
    const headers = { 'content-type': 'application/json', accept: UAF }
    const reply = await ask('/nevisfido/token/redeem/authentication', headers, JSON.stringify({ token }))
    verify(`redeem ${code}`, reply[1].includes(`"statusCode":${code}`), reply)
  }

  async function useFido(): Promise<void> {
    const headers = { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' }
    const reply = await ask('/nevisfido/token/create/authentication', headers, CREATE)
    verify('create', reply[1].includes('"statusCode":1200'), reply)
    const { token, sessionId } = JSON.parse(reply[1]) as { token: string; sessionId: string }
    if (chance() < 1 / 16) await introspect('nevisfido', token, true)
    if (chance() < 1 / 8) {
      const json = { 'content-type': 'application/json', accept: 'application/json' }
      const status = await ask('/nevisfido/status', json, JSON.stringify({ sessionId }))
      verify('status', status[0] === 200 && status[1].includes('"status":"tokenCreated"'), status)
    }
    if (chance() < 1 / 64) {
      await revoke('nevisfido', token)
      await redeem(token, 1491)
    } else if (chance() < 3 / 4) {
      await redeem(token, 1200)
      if (chance() < 1 / 16) await redeem(token, 1491)
    }
  }

  function tolerate(error: unknown): void {
    if (error !== UNAVAILABLE) throw error
    unavailable += 1
  }

  async function caller(): Promise<void> {
    while (issued < tokens && !isStopped) {
      issued += 1
      for (const use of [useBws, useIdscan, useFido]) await use().catch(tolerate)
    }
  }

  const done = Promise.all(Array.from({ length: callers }, caller)).then(() => pool.close())
  return {
    issued: () => issued,
    requests: () => requests,
    unavailable: () => unavailable,
    wrong,
    done,
    stop: () => {
      isStopped = true
    },
  }
}
