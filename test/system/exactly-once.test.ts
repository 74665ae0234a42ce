import pLimit from 'p-limit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FULL } from '../support/full.ts'
import {
  type Deployment,
  deploy,
  type Instance,
  type InstanceProcess,
  issueAt,
  redeemAt,
  startInstances,
} from '../support/instances.ts'
import { hasProgram } from '../support/programs.ts'
import { type StartedRedis, startRedis } from '../support/redis.ts'

// Callers of several processes redeem the same token at the same moment.

const TOKENS = FULL ? 10_000 : 100
const CALLERS = 8
const INSTANCES = 3
const TIMEOUT = FULL ? 900_000 : 60_000

/** Tokens that are redeemed at a time, each by all its callers. */
const UNDER_WAY = 16

/** The status codes that the callers of one token got. */
interface Answers {
  readonly token: string
  readonly codes: readonly number[]
}

const successesOf = ({ codes }: Answers): number => codes.filter((code) => code === 1200).length

function tally(answers: readonly Answers[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const code of answers.flatMap(({ codes }) => codes)) counts[code] = (counts[code] ?? 0) + 1
  return counts
}

/** Redeems each token by all its callers at once. */
function redeemAll(
  tokens: readonly string[],
  redeem: (caller: number, token: string) => Promise<number>,
  whenSent: (index: number) => void = () => undefined,
): Promise<Answers[]> {
  return pLimit(UNDER_WAY).map(tokens, async (token, index) => {
    const calls = Array.from({ length: CALLERS }, (_, caller) => redeem(caller, token))
    whenSent(index)
    return { token, codes: await Promise.all(calls) }
  })
}

/** Returns whether the connection failed, so that nothing was redeemed. */
const wasRefused = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'

const STORES = [
  { store: 'an SQLite file', needsRedis: false },
  { store: 'a Redis', needsRedis: true },
]

describe.each(STORES)(`${INSTANCES} instances on $store`, ({ store, needsRedis }) => {
  describe.skipIf(needsRedis && !hasProgram('redis-server'))(`${TOKENS} tokens, ${CALLERS} callers each`, () => {
    let redis: StartedRedis | undefined
    let deployment: Deployment
    let victim: InstanceProcess
    let survivors: Instance[]
    let instances: Instance[]
    const instanceFor = (call: number) => instances[call % instances.length] as Instance

    beforeAll(async () => {
      redis = needsRedis ? await startRedis() : undefined
      deployment = await deploy(redis?.url)
      ;[victim, ...survivors] = await startInstances(deployment, INSTANCES)
      instances = [victim, ...survivors]
    }, TIMEOUT)
    afterAll(async () => {
      await deployment[Symbol.asyncDispose]()
      await redis?.stop()
    })

    function issueAll(): Promise<string[]> {
      const calls = Array.from({ length: TOKENS }, (_, call) => call)
      return pLimit(UNDER_WAY * CALLERS).map(calls, async (call) => (await issueAt(instanceFor(call))).token)
    }

    test(`N24: on ${store} one caller of a token succeeds, all others get 1491`, { timeout: TIMEOUT }, async () => {
      const tokens = await issueAll()
      const answers = await redeemAll(tokens, (caller, token) => redeemAt(instanceFor(caller), token))
      expect(tally(answers)).toEqual({ 1200: TOKENS, 1491: TOKENS * (CALLERS - 1) })
      expect(answers.filter((answer) => successesOf(answer) !== 1)).toEqual([])
    })

    // Kill a process last. Its callers then call its neighbour.
    test(`N24: on ${store} no token is redeemed twice when a process dies meanwhile`, {
      timeout: TIMEOUT,
    }, async () => {
      const tokens = await issueAll()
      /** Tokens that the killed process may have redeemed without an answer. */
      const interrupted = new Set<string>()
      let isHalfway = false
      let death: Promise<void> | undefined

      const answers = await redeemAll(
        tokens,
        async (caller, token) => {
          try {
            const code = redeemAt(instanceFor(caller), token)
            // This call is in progress, and those of the other tokens.
            if (isHalfway && instanceFor(caller) === victim) death ??= victim.kill()
            return await code
          } catch (error) {
            if (instanceFor(caller) !== victim) throw error
            if (!wasRefused(error)) interrupted.add(token)
            return redeemAt(instanceFor(caller + 1), token)
          }
        },
        (index) => {
          isHalfway ||= index === TOKENS / 2
        },
      )
      await death

      expect(interrupted.size, 'calls were in progress').toBeGreaterThan(0)
      expect(Object.keys(tally(answers))).toEqual(['1200', '1491'])
      expect(answers.filter((answer) => successesOf(answer) > 1)).toEqual([])
      const unseen = answers.filter((answer) => successesOf(answer) === 0)
      expect(unseen.filter(({ token }) => !interrupted.has(token))).toEqual([])

      instances = survivors
      const again = await redeemAll(tokens, (caller, token) => redeemAt(instanceFor(caller), token))
      expect(tally(again)).toEqual({ 1491: TOKENS * CALLERS })
    })
  })
})
