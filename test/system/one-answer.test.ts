import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Deployment, deploy, type Instance, type InstanceProcess, startInstances } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { bodyFor, codeOf, type Operation, UAF } from '../support/nevisfido.ts'
import { hasProgram } from '../support/programs.ts'
import { type StartedRedis, startRedis } from '../support/redis.ts'
import {
  buildAuthentication,
  buildRegistration,
  buildResponse,
  createAuthenticatorKey,
  encodeFcParams,
} from '../support/uaf/assertions.ts'

// Copies of one response reach several processes at the same moment.

const COPIES = 200
const INSTANCES = 3
const ROUNDS = 3
const TIMEOUT = 120_000

const STORES = [
  { store: 'an SQLite file', needsRedis: false },
  { store: 'a Redis', needsRedis: true },
]

const key = createAuthenticatorKey()

describe.each(STORES)(`${INSTANCES} instances on $store`, ({ store, needsRedis }) => {
  describe.skipIf(needsRedis && !hasProgram('redis-server'))(`${COPIES} copies of a response`, () => {
    let redis: StartedRedis | undefined
    let deployment: Deployment
    let victim: InstanceProcess
    let instances: Instance[]
    let counter = 0

    beforeAll(async () => {
      redis = needsRedis ? await startRedis() : undefined
      deployment = await deploy(redis?.url)
      const [first, ...others] = await startInstances(deployment, INSTANCES)
      victim = first
      instances = [first, ...others]
      const { response } = await ask('registration')
      expect(await send('registration', response)).toBe(1200)
    }, TIMEOUT)
    afterAll(async () => {
      await deployment[Symbol.asyncDispose]()
      await redis?.stop()
    })

    const instanceFor = (call: number) => instances[call % instances.length] as Instance

    /** Creates and redeems a token, and returns the body that answers it. */
    async function ask(operation: Operation): Promise<{ sessionId: string; response: string }> {
      const instance = instances.at(-1) as Instance
      const headers = { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' }
      const created = await instance.request(`/nevisfido/token/create/${operation}`, {
        method: 'POST',
        headers,
        body: bodyFor(operation),
      })
      const { token, sessionId } = JSON.parse(created.body) as { token: string; sessionId: string }
      trackSecret(token)
      trackSecret(sessionId)
      const redeemed = await instance.request(`/nevisfido/token/redeem/${operation}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: UAF },
        body: JSON.stringify({ token }),
      })
      const [request] = JSON.parse(JSON.parse(redeemed.body).uafRequest)
      counter += 1
      const fcParams = encodeFcParams({ challenge: request.challenge })
      const assertion =
        operation === 'registration'
          ? buildRegistration({ key, fcParams, counter })
          : buildAuthentication({ key, fcParams, counter })
      const op = operation === 'registration' ? 'Reg' : 'Auth'
      const { serverData } = request.header
      const uafResponse = JSON.stringify([buildResponse({ op, assertions: [assertion], serverData, fcParams })])
      return { sessionId, response: JSON.stringify({ uafResponse }) }
    }

    async function send(operation: Operation, body: string, call = -1): Promise<number> {
      const instance = call < 0 ? (instances.at(-1) as Instance) : instanceFor(call)
      const headers = { 'content-type': `${UAF};charset=UTF-8`, accept: UAF }
      return codeOf(await instance.request(`/nevisfido/uaf/1.1/${operation}`, { method: 'POST', headers, body }))
    }

    async function statusOf(sessionId: string): Promise<string> {
      const instance = instances.at(-1) as Instance
      const { body } = await instance.request('/nevisfido/status', {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ sessionId }),
      })
      return (JSON.parse(body) as { status: string }).status
    }

    test(`U34: on ${store} one copy of a response is taken, all others get 1491`, { timeout: TIMEOUT }, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const { sessionId, response } = await ask('authentication')
        const codes = await Promise.all(
          Array.from({ length: COPIES }, (_, call) => send('authentication', response, call)),
        )
        expect(codes.filter((code) => code === 1200)).toHaveLength(1)
        expect(codes.filter((code) => code === 1491)).toHaveLength(COPIES - 1)
        expect(await statusOf(sessionId)).toBe('succeeded')
      }
    })

    test(`U31: on ${store} the counter never goes back, whichever of many sessions is first`, {
      timeout: TIMEOUT,
    }, async () => {
      const asked: Awaited<ReturnType<typeof ask>>[] = []
      for (let session = 0; session < 8; session++) asked.push(await ask('authentication'))
      const shuffled = asked.toReversed()
      const codes = await Promise.all(shuffled.map(({ response }, call) => send('authentication', response, call)))
      // The highest counter always holds; each other one where it came before all higher ones.
      expect(codes[0]).toBe(1200)
      expect(codes.every((code) => code === 1200 || code === 1498)).toBe(true)
      counter -= 1
      const { response } = await ask('authentication')
      expect(await send('authentication', response)).toBe(1498)
    })

    // Kills a process last.
    test(`U34: on ${store} a killed process leaves a response taken with its counter, or not at all`, {
      timeout: TIMEOUT,
    }, async () => {
      const { sessionId, response } = await ask('authentication')
      const sent = Array.from({ length: COPIES }, (_, call) => send('authentication', response, call).catch(() => 0))
      await Promise.race(sent)
      await victim.kill()
      const codes = await Promise.all(sent)
      expect(codes.filter((code) => code === 1200).length).toBeLessThanOrEqual(1)
      expect(codes.filter((code) => ![0, 1200, 1491].includes(code))).toEqual([])
      expect(await statusOf(sessionId)).toBe('succeeded')
      counter -= 1
      expect(await send('authentication', (await ask('authentication')).response)).toBe(1498)
      expect(await send('authentication', (await ask('authentication')).response)).toBe(1200)
    })
  })
})
