import { execFile } from 'node:child_process'
import { createSecretKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { getToken, QUERY } from '../support/bws.ts'
import { TRACED } from '../support/full.ts'
import { ACCOUNT, LOGIN, login } from '../support/idscan.ts'
import { type Deployment, deploy, type InstanceProcess } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { checkBws, checkIdscan, introspect, RESOURCE_SERVERS } from '../support/lifecycle.ts'
import { hasProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { KEY } from '../support/service.ts'

// A key is exchanged while everybody goes on working: what an operator does, with the commands that an operator has.

const TIMEOUT = 180_000
const CALLERS = 6

/** Milliseconds between two rounds of a caller: enough for both replicas to be at work all the time. */
const PAUSE = 50

/** No line for each check: all lines of a run are searched for secrets (test/run), and others have such lines. */
const VARIABLES = { LOG_LEVEL: TRACED ? 'trace' : 'info' }

/** Rounds of all callers together that lie between two steps of the rotation. */
const ROUNDS = 40

const CONFIGURATION: Partial<ConfigurationInput> = {
  keys: [{ id: 'old', secret: KEY, created: '2026-01-01' }],
  idscan: { accounts: [ACCOUNT] },
  resourceServers: RESOURCE_SERVERS,
}

const CONTRACTS = {
  bws: {
    async issue(replica: InstanceProcess) {
      const reply = await getToken(replica, QUERY)
      return reply.status === 200 ? reply.body : undefined
    },
    check: (replica: InstanceProcess, token: string) => checkBws(replica, 'upload', token),
  },
  idscan: {
    async issue(replica: InstanceProcess) {
      const reply = await login(replica, LOGIN)
      return reply.status === 200 ? (JSON.parse(reply.body) as { access_token: string }).access_token : undefined
    },
    check: (replica: InstanceProcess, token: string) => checkIdscan(replica, 'scanning', token),
  },
} as const
type Contract = keyof typeof CONTRACTS

interface Token {
  readonly contract: Contract
  readonly token: string
  /** How far the rotation was when it was asked for. */
  readonly asked: number
}

/** Whether a replica takes a token, in both ways that it can be asked. */
async function accepts(replica: InstanceProcess, { contract, token }: Token): Promise<boolean> {
  const [said, checked] = await Promise.all([introspect(replica, token), CONTRACTS[contract].check(replica, token)])
  return said.status === 200 && (JSON.parse(said.body) as { active: boolean }).active && checked.status === 200
}

/** Callers that go on and on: each has tokens issued, and shows them and older ones to both replicas. */
function startTraffic(replicas: readonly [InstanceProcess, InstanceProcess]) {
  const tokens: Token[] = []
  const failures: string[] = []
  let step = 0
  let rounds = 0
  let isGoing = true

  async function issue(contract: Contract, replica: InstanceProcess): Promise<Token | undefined> {
    const asked = step
    const token = await CONTRACTS[contract].issue(replica)
    if (token === undefined) failures.push(`step ${step}: ${contract} was not issued`)
    else {
      const issued = { contract, token, asked }
      tokens.push(issued)
      return issued
    }
    return undefined
  }

  async function show(token: Token): Promise<void> {
    for (const [index, replica] of replicas.entries()) {
      if (!(await accepts(replica, token))) {
        failures.push(`step ${step}: replica ${index} refused ${token.contract} of step ${token.asked}`)
      }
    }
  }

  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let round = caller; isGoing; round++) {
      try {
        const replica = replicas[round % 2] as InstanceProcess
        const token = await issue(caller % 2 ? 'bws' : 'idscan', replica)
        if (token) await show(token)
        const earlier = tokens[Math.floor(Math.random() * tokens.length)]
        if (earlier) await show(earlier)
      } catch (error) {
        failures.push(`step ${step}: ${(error as Error).message}`)
      }
      rounds += 1
      await sleep(PAUSE)
    }
  })

  return {
    tokens,
    failures,
    /** Waits until there has been some traffic, and says that the next step has been taken. */
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

/** The command line as a process of its own, with the deployment's configuration. */
function trimint({ file }: Deployment, ...words: string[]): Promise<{ code: unknown; out: string; err: string }> {
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, TRIMINT_CONFIG: file }
  return new Promise((done) => {
    execFile(process.execPath, [resolve('src/cli/main.ts'), ...words], { env }, (error, out, err) =>
      done({ code: error?.code ?? 0, out, err }),
    )
  })
}

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

describe.each(STORES)('two replicas on $store', ({ needsRedis }) => {
  test.skipIf(needsRedis && !hasProgram('redis-server'))(
    'a rotation under load fails no request, and every token is good at both at every moment',
    { timeout: TIMEOUT },
    async () => {
      await using redis = needsRedis ? await startRedis() : undefined
      await using deployment = await deploy(redis?.url, CONFIGURATION, VARIABLES)
      const replicas: [InstanceProcess, InstanceProcess] = [
        await deployment.startProcess(),
        await deployment.startProcess(),
      ]
      const traffic = startTraffic(replicas)

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
      await replicas[0].reload()
      await traffic.nextStep()
      expect(await trimint(deployment, 'keys', 'promote')).toEqual(refusal(1))
      await replicas[1].reload()
      await traffic.nextStep()
      const promotion = traffic.tokens.length
      expect(await trimint(deployment, 'keys', 'promote')).toMatchObject({ code: 0, err: '' })

      // Step 3: both have both keys, and sign with the old one; from here on, the first replica with the new one.
      await replicas[0].reload()
      await traffic.nextStep()
      const halfway = await trimint(deployment, 'keys', 'list')
      expect(halfway.out).toMatch(/^old .* verifies {2}known to 2 of 2 running replicas {2}still signs in 1 of 2$/m)
      await replicas[1].reload()
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

      await replicas[1].stop()
      expect((await trimint(deployment, 'keys', 'list')).out).toMatch(/known to 1 of 1 .*\nold .* known to 1 of 1 /)
    },
  )
})

test('what the refusal keeps from happening: a key that is promoted too early', { timeout: TIMEOUT }, async () => {
  await using deployment = await deploy(undefined, CONFIGURATION, VARIABLES)
  const replicas: [InstanceProcess, InstanceProcess] = [
    await deployment.startProcess(),
    await deployment.startProcess(),
  ]
  await trimint(deployment, 'keys', 'add')
  expect(await trimint(deployment, 'keys', 'promote', '--force')).toMatchObject({ code: 0 })
  await replicas[0].reload()
  const token = (await CONTRACTS.bws.issue(replicas[0])) ?? ''
  const shown = replicas.map((replica) => accepts(replica, { contract: 'bws', token, asked: 0 }))
  expect(await Promise.all(shown)).toEqual([true, false])
})
