import { createSecretKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/app/system-clock.ts'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { getToken, QUERY } from '../support/bws.ts'
import { type Outcome, runTrimint } from '../support/command.ts'
import { FULL } from '../support/full.ts'
import { ACCOUNT, LOGIN, login } from '../support/idscan.ts'
import { type Deployment, deploy, type Instance } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { checkBws, checkIdscan, introspect, RESOURCE_SERVERS } from '../support/lifecycle.ts'
import { hasProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { KEY } from '../support/service.ts'

// An operator rotates the key with `trimint keys` while clients go on working.

const TIMEOUT = 180_000
const CALLERS = 6

const CALLER_PAUSE_MS = 50

/** Rounds of all callers together between two steps of the rotation. */
const ROUNDS = FULL ? 40 : 20

const CONFIGURATION: Partial<ConfigurationInput> = {
  keys: [{ id: 'old', secret: KEY, created: '2026-01-01' }],
  idscan: { accounts: [ACCOUNT] },
  resourceServers: RESOURCE_SERVERS,
}

const CONTRACTS = {
  bws: {
    async issue(instance: Instance) {
      const reply = await getToken(instance, QUERY)
      return reply.status === 200 ? reply.body : undefined
    },
    check: (instance: Instance, token: string) => checkBws(instance, 'upload', token),
  },
  idscan: {
    async issue(instance: Instance) {
      const reply = await login(instance, LOGIN)
      return reply.status === 200 ? (JSON.parse(reply.body) as { access_token: string }).access_token : undefined
    },
    check: (instance: Instance, token: string) => checkIdscan(instance, 'scanning', token),
  },
} as const
type Contract = keyof typeof CONTRACTS

interface Token {
  readonly contract: Contract
  readonly token: string
  /** The step of the rotation when it was requested. */
  readonly asked: number
}

/** Returns whether both introspection and the gateway check accept a token. */
async function accepts(instance: Instance, { contract, token }: Token): Promise<boolean> {
  const [said, checked] = await Promise.all([introspect(instance, token), CONTRACTS[contract].check(instance, token)])
  return said.status === 200 && (JSON.parse(said.body) as { active: boolean }).active && checked.status === 200
}

/** Starts callers that keep requesting tokens, and show them and older ones to both instances. */
function startTraffic(instances: readonly [Instance, Instance]) {
  const tokens: Token[] = []
  const failures: string[] = []
  let step = 0
  let rounds = 0
  let isGoing = true

  async function issue(contract: Contract, instance: Instance): Promise<Token | undefined> {
    const asked = step
    const token = await CONTRACTS[contract].issue(instance)
    if (token === undefined) failures.push(`step ${step}: ${contract} was not issued`)
    else {
      const issued = { contract, token, asked }
      tokens.push(issued)
      return issued
    }
    return undefined
  }

  async function show(token: Token): Promise<void> {
    for (const [index, instance] of instances.entries()) {
      if (!(await accepts(instance, token))) {
        failures.push(`step ${step}: instance ${index} rejected ${token.contract} of step ${token.asked}`)
      }
    }
  }

  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let round = caller; isGoing; round++) {
      try {
        const instance = instances[round % 2] as Instance
        const token = await issue(caller % 2 ? 'bws' : 'idscan', instance)
        if (token) await show(token)
        const earlier = tokens[Math.floor(Math.random() * tokens.length)]
        if (earlier) await show(earlier)
      } catch (error) {
        failures.push(`step ${step}: ${(error as Error).message}`)
      }
      rounds += 1
      await sleep(CALLER_PAUSE_MS)
    }
  })

  return {
    tokens,
    failures,
    /** Waits for some traffic, then counts one more step. */
    async nextStep(): Promise<void> {
      const until = rounds + ROUNDS
      while (rounds < until) await sleep(10)
      step += 1
    },
    async stop(): Promise<void> {
      isGoing = false
      await Promise.all(callers)
      for (const token of tokens) await show(token)
    },
  }
}

/** Runs the command line on the configuration of a deployment. */
const trimint = ({ file }: Deployment, ...words: string[]): Promise<Outcome> =>
  runTrimint(words, { variables: { TRIMINT_CONFIG: file }, clock: systemClock, randomness: systemRandomness })

async function readKey({ file }: Deployment, id: string): Promise<KeyObject> {
  const { keys } = JSON.parse(await readFile(file, 'utf8')) as { keys: { id: string; secret: string }[] }
  const secret = keys.find((key) => key.id === id)?.secret ?? ''
  trackSecret(secret)
  return createSecretKey(Buffer.from(secret, 'base64url'))
}

const isSignedBy = (token: string, key: KeyObject): Promise<boolean> =>
  jwtVerify(token, key, { algorithms: ['HS256'] }).then(
    () => true,
    () => false,
  )

const STORES = [
  { store: 'an SQLite file', needsRedis: false },
  { store: 'a Redis', needsRedis: true },
]

describe.each(STORES)('two instances on $store', ({ needsRedis }) => {
  test.skipIf(needsRedis && !hasProgram('redis-server'))(
    'a rotation under load fails no request, and both accept every token at every step',
    { timeout: TIMEOUT },
    async () => {
      await using redis = needsRedis ? await startRedis() : undefined
      await using deployment = await deploy(redis?.url, CONFIGURATION)
      const instances: [Instance, Instance] = [await deployment.start(), await deployment.start()]
      const traffic = startTraffic(instances)

      // Step 0: the old key alone.
      await traffic.nextStep()
      const added = await trimint(deployment, 'keys', 'add')
      const id = /^added (\S+) to /.exec(added.out)?.[1] ?? ''
      expect(added).toMatchObject({ code: 0, err: '' })
      const [oldKey, newKey] = [await readKey(deployment, 'old'), await readKey(deployment, id)]

      const refusal = (lacking: number) => ({
        code: 1,
        out: '',
        err: expect.stringContaining(`${id} is missing in ${lacking} of 2 running replicas`),
      })
      expect(await trimint(deployment, 'keys', 'promote')).toEqual(refusal(2))
      await instances[0].reload()
      await traffic.nextStep()
      expect(await trimint(deployment, 'keys', 'promote')).toEqual(refusal(1))
      await instances[1].reload()
      await traffic.nextStep()
      const promotion = traffic.tokens.length
      expect(await trimint(deployment, 'keys', 'promote')).toMatchObject({ code: 0, err: '' })

      // Step 3: both have both keys, and sign with the old one; from here on, the first replica with the new one.
      await instances[0].reload()
      await traffic.nextStep()
      const halfway = await trimint(deployment, 'keys', 'list')
      expect(halfway.out).toMatch(/^old .* verifies {2}known to 2 of 2 running replicas {2}still signs in 1 of 2$/m)
      await instances[1].reload()
      await traffic.nextStep()

      // Step 5: both sign with the new one.
      await traffic.nextStep()
      await traffic.stop()
      expect(traffic.failures).toEqual([])

      const [early, late] = [traffic.tokens.slice(0, promotion), traffic.tokens.filter(({ asked }) => asked >= 5)]
      expect([early.length, late.length].map((count) => count >= ROUNDS - CALLERS)).toEqual([true, true])
      for (const { token } of early) expect(await isSignedBy(token, oldKey)).toBe(true)
      for (const { token } of late) expect(await isSignedBy(token, newKey)).toBe(true)
      expect(new Set(late.map(({ contract }) => contract))).toEqual(new Set(['bws', 'idscan']))

      const { out } = await trimint(deployment, 'keys', 'list')
      expect(out).toMatch(new RegExp(`^${id} .* signs {2}known to 2 of 2 running replicas {2}in use\nold `))
      expect(out).toMatch(/^old .* verifies {2}known to 2 of 2 running replicas {2}can go after \d{4}-/m)

      await instances[1].stop()
      expect((await trimint(deployment, 'keys', 'list')).out).toMatch(/known to 1 of 1 .*\nold .* known to 1 of 1 /)
    },
  )
})

test('rejects new tokens in the other instance after a forced early promotion', { timeout: TIMEOUT }, async () => {
  await using deployment = await deploy(undefined, CONFIGURATION)
  const instances: [Instance, Instance] = [await deployment.start(), await deployment.start()]
  await trimint(deployment, 'keys', 'add')
  expect(await trimint(deployment, 'keys', 'promote', '--force')).toMatchObject({ code: 0 })
  await instances[0].reload()
  const token = (await CONTRACTS.bws.issue(instances[0])) ?? ''
  const shown = instances.map((instance) => accepts(instance, { contract: 'bws', token, asked: 0 }))
  expect(await Promise.all(shown)).toEqual([true, false])
})
