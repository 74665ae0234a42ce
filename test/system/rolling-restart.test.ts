import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { FULL } from '../support/full.ts'
import { LOGIN, PATH as LOGIN_PATH } from '../support/idscan.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { bodyFor, UAF } from '../support/nevisfido.ts'
import { hasProgram } from '../support/programs.ts'
import { DEMO_API, DEMO_APP, DEMO_LOGIN, type ScaledSite, startScaledSite } from '../support/scale.ts'
import { type Answerer, basic, type Reply, type RequestOptions } from '../support/service.ts'

// Restarts one instance after the other without a failed request.

const ROUNDS = FULL ? 10 : 1
const CALLERS = FULL ? 24 : 5
const CALLER_PAUSE_MS = FULL ? 50 : 100
const TIMEOUT = FULL ? 600_000 : 180_000

const AS_APP = basic(DEMO_APP.id, DEMO_APP.secret)
const AS_API = basic(DEMO_API.id, DEMO_API.secret)
const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'

const post = (contentType: string, body: string, headers: Record<string, string> = {}): RequestOptions => ({
  method: 'POST',
  body,
  headers: { 'content-type': contentType, ...headers },
})

/** The calls of one client. Each reply must be the expected one, whichever instance served the calls before. */
class Journey {
  readonly #target: Answerer

  constructor(target: Answerer) {
    this.#target = target
  }

  /** @throws Error for an unexpected reply. */
  async #ask(path: string, options: RequestOptions, status: number, pattern: RegExp): Promise<Reply> {
    const reply = await this.#target.request(path, options).catch((error: Error) => {
      throw new Error(`${path}: no answer: ${error.message}`)
    })
    if (reply.status !== status || !pattern.test(reply.body)) throw new Error(`${path}: ${reply.status} ${reply.body}`)
    return reply
  }

  async bws(): Promise<string> {
    const query = 'id=demo-app&bcid=bws.112.12345&maxtries=2'
    const { body: token } = await this.#ask(`/token?${query}`, { headers: { authorization: AS_APP } }, 200, /^eyJ/)
    const bearer = { headers: { authorization: `Bearer ${token}` } }
    await this.#ask('/authz/bws/upload', bearer, 200, /^$/)
    await this.#ask('/authz/bws/verify', bearer, 200, /^$/)
    await this.#ask('/introspect', post(FORM, `token=${token}`, { authorization: AS_API }), 200, /^{"active":true/)
    await this.#ask('/authz/bws/verify', bearer, 200, /^$/)
    await this.#ask('/authz/bws/verify', bearer, 403, /tries/)
    return token
  }

  async idscan(): Promise<string> {
    const body = new URLSearchParams({ ...LOGIN, ...DEMO_LOGIN }).toString()
    const login = await this.#ask(LOGIN_PATH, post(FORM, body), 200, /^{"access_token"/)
    const { access_token: token } = JSON.parse(login.body) as { access_token: string }
    await this.#ask('/authz/idscan/scanning', { headers: { authorization: token } }, 200, /^$/)
    return token
  }

  async nevisfido(): Promise<string> {
    const accept = { accept: JSON_TYPE }
    const create = post(`${UAF};charset=UTF-8`, bodyFor('authentication'), accept)
    const created = await this.#ask('/nevisfido/token/create/authentication', create, 200, /"statusCode":1200/)
    const { token, sessionId } = JSON.parse(created.body) as { token: string; sessionId: string }
    const status = post(JSON_TYPE, JSON.stringify({ sessionId }), accept)
    const redeem = post(JSON_TYPE, JSON.stringify({ token }), { accept: UAF })
    await this.#ask('/nevisfido/status', status, 200, /tokenCreated/)
    await this.#ask('/nevisfido/token/redeem/authentication', redeem, 200, /"statusCode":1200/)
    await this.#ask('/nevisfido/status', status, 200, /clientAuthenticating/)
    await this.#ask('/nevisfido/token/redeem/authentication', redeem, 200, /^{"statusCode":1491}$/)
    return token
  }
}

/** Audit lines of one journey through all contracts. */
const LINES = { 'token.issued': 3, 'token.redeemed': 1, 'token.used': 2 }

interface Load {
  readonly journeys: number
  readonly failures: readonly string[]
}

/** Runs clients until `work` is done. */
async function underLoad(target: Answerer, work: () => Promise<void>): Promise<Load> {
  const failures: string[] = []
  let journeys = 0
  let isDone = false
  async function call(): Promise<void> {
    const journey = new Journey(target)
    for (let count = 0; !isDone; count++) {
      try {
        const tokens = [await journey.bws(), await journey.idscan(), await journey.nevisfido()]
        journeys += 1
        // A sample, because the leak search takes longer with each secret.
        if (count === 0) tokens.forEach(trackSecret)
      } catch (error) {
        failures.push(`${new Date().toISOString()} ${(error as Error).message}`)
      }
      await sleep(CALLER_PAUSE_MS)
    }
  }
  const callers = Array.from({ length: CALLERS }, call)
  try {
    await work()
  } finally {
    isDone = true
    await Promise.all(callers)
  }
  return { journeys, failures }
}

const countOf = (log: string, event: string): number => log.split(`"event":"${event}"`).length - 1

describe.skipIf(!hasProgram('redis-server') || !hasProgram('nginx'))('two instances behind nginx', () => {
  test(`fail no request while each restarts ${ROUNDS} times, one after the other`, { timeout: TIMEOUT }, async () => {
    await using site = await startScaledSite({ DRAIN_DELAY: '2s' })
    const { journeys, failures } = await underLoad(site.gateway, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        for (const instance of site.instances) {
          expect(await instance.stop('SIGTERM')).toBe(0)
          await instance.start()
        }
      }
    })
    expect(failures, await tail(site)).toEqual([])
    expect(journeys).toBeGreaterThan(CALLERS)

    // Each call was done once, and the logs of the ended processes contain it.
    for (const instance of site.instances) expect(await instance.stop('SIGINT')).toBe(0)
    const log = site.instances.map((instance) => instance.log()).join('')
    const counts = Object.keys(LINES).map((event) => [event, countOf(log, event)])
    const due = Object.entries(LINES).map(([event, lines]) => [event, lines * journeys])
    expect(Object.fromEntries(counts)).toEqual(Object.fromEntries(due))
    for (const instance of site.instances) expect(countOf(instance.log(), 'token.issued')).toBeGreaterThan(0)
  })
})

/** Returns what nginx logged about instances that it could not reach. */
async function tail(site: ScaledSite): Promise<string> {
  const lines = (await site.nginxLog()).split('\n').filter((line) => /\[(warn|error|crit)\]|" 5\d\d /.test(line))
  return lines.slice(0, 40).join('\n')
}
