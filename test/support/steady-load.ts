import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { expect } from 'vitest'
import { CALLER, QUERY } from './bws.ts'
import { FULL } from './full.ts'
import { encodeForm } from './idscan.ts'
import { GATEWAY, type Instance, issueAt, redeemAt } from './instances.ts'
import { trackSecret } from './leak-recorder.ts'

/** The outcomes of one nevisFIDO token that callers saw. */
interface Fate {
  /** The number of successful redemptions. */
  redeemed: number
  /** A redemption failed or got no answer, so the token may be redeemed. */
  isOpen: boolean
}

/** The outcomes that callers saw. */
export interface Told {
  readonly fates: ReadonlyMap<string, Fate>
  /** BWS tokens that were revoked. */
  readonly revoked: readonly string[]
  /** Passed checks of BWS tokens that allow one. */
  readonly passes: ReadonlyMap<string, number>
  /** Calls that succeeded. */
  served(): number
  /** Calls that failed for any reason. */
  failed(): number
}

export interface SteadyLoad extends Told {
  stop(): Promise<void>
}

const CALLERS = 6

/** Between a caller's turns: other tests run meanwhile. */
const TURN_PAUSE_MS = FULL ? 0 : 5

/** The pause after a failure. */
const FAILURE_PAUSE_MS = 20

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

const post = (instance: Instance, path: string, token: string) =>
  instance.request(path, { method: 'POST', body: encodeForm({ token }), headers: FORM, as: GATEWAY })

async function issueBws(instance: Instance): Promise<string> {
  const { status, body } = await instance.request(`/token?${QUERY}&task=verify&maxtries=1`, { as: CALLER })
  if (status !== 200) throw new Error(`no token was issued: ${status} ${body}`)
  trackSecret(body)
  return body
}

const checkBws = async (instance: Instance, token: string): Promise<number> =>
  (await instance.request('/authz/bws/verify', { headers: { authorization: `Bearer ${token}` } })).status

/**
 * Starts callers that issue, redeem, check and revoke tokens. They continue through failures and record
 * the outcomes.
 *
 * @param current returns the instance to call.
 */
export function startSteadyLoad(current: () => Instance): SteadyLoad {
  const fates = new Map<string, Fate>()
  const revoked: string[] = []
  const passes = new Map<string, number>()
  const counts = { served: 0, failed: 0 }
  let isStopped = false

  async function redeem(token: string, fate: Fate): Promise<void> {
    try {
      const code = await redeemAt(current(), token)
      if (code === 1200) fate.redeemed += 1
      else if (code !== 1491) fate.isOpen = true
    } catch {
      fate.isOpen = true
    }
  }

  async function useFido(turn: number): Promise<void> {
    const { token } = await issueAt(current())
    trackSecret(token)
    const fate: Fate = { redeemed: 0, isOpen: false }
    fates.set(token, fate)
    // Leave some tokens unredeemed; redeem the others twice at the same time.
    if (turn % 4 !== 0) await Promise.all([redeem(token, fate), redeem(token, fate)])
  }

  async function useBws(turn: number): Promise<void> {
    const token = await issueBws(current())
    if (turn % 2 === 0) {
      const { status } = await post(current(), '/revoke', token)
      if (status !== 200) throw new Error(`not revoked: ${status}`)
      revoked.push(token)
      return
    }
    const tryIt = () => checkBws(current(), token).catch(() => 0)
    passes.set(token, 0)
    const statuses = await Promise.all([tryIt(), tryIt()])
    passes.set(token, statuses.filter((status) => status === 200).length)
  }

  async function call(): Promise<void> {
    for (let turn = 0; !isStopped; turn++) {
      try {
        await useFido(turn)
        if (turn % 4 === 0) await useBws(turn / 4)
        counts.served += 1
        if (TURN_PAUSE_MS > 0) await sleep(TURN_PAUSE_MS)
      } catch {
        counts.failed += 1
        await sleep(FAILURE_PAUSE_MS)
      }
    }
  }

  const calls = Array.from({ length: CALLERS }, call)
  return {
    fates,
    revoked,
    passes,
    served: () => counts.served,
    failed: () => counts.failed,
    async stop() {
      isStopped = true
      await Promise.all(calls)
    },
  }
}

/** Counts contradictions between the outcomes that callers saw and the state of the service. */
export interface Breaches {
  /** Tokens that were redeemed more than once. */
  readonly redeemedTwice: number
  /** Tokens that no caller redeemed and that cannot be redeemed. */
  readonly lost: number
  /** Tokens with more passed checks than uses. */
  readonly triesGivenBack: number
  /** Tokens that are active after they were revoked. */
  readonly alive: number
}

export const NO_BREACH: Breaches = { redeemedTwice: 0, lost: 0, triesGivenBack: 0, alive: 0 }

/**
 * Makes each kind of call once. They use different stores, whose connections recover one after the other.
 *
 * @returns the replies.
 */
async function callEach(instance: Instance) {
  const { token } = await issueAt(instance)
  const redeemed = await redeemAt(instance, token)
  const bws = await issueBws(instance)
  const checked = await checkBws(instance, bws)
  const revoked = (await post(instance, '/revoke', bws)).status
  const introspected = (await post(instance, '/introspect', bws)).body
  return { redeemed, checked, revoked, introspected }
}

const SERVED = { redeemed: 1200, checked: 200, revoked: 200, introspected: '{"active":false}' }

/** Waits until the instance serves every call, then repeats all calls and compares the replies with what callers saw. */
export async function findBreaches(instance: Instance, { fates, revoked, passes }: Told): Promise<Breaches> {
  await expect.poll(() => callEach(instance).catch(String)).toEqual(SERVED)
  const limit = pLimit(16)
  let lost = 0
  await limit.map([...fates], async ([token, fate]) => {
    const code = await redeemAt(instance, token)
    if (code === 1200) fate.redeemed += 1
    if (code !== 1200 && fate.redeemed === 0 && !fate.isOpen) lost += 1
  })
  const again = await limit.map([...passes], async ([token, before]) => {
    return before + Number((await checkBws(instance, token)) === 200)
  })
  const answers = await limit.map([...revoked], async (token) => (await post(instance, '/introspect', token)).body)
  return {
    redeemedTwice: [...fates.values()].filter(({ redeemed }) => redeemed > 1).length,
    lost,
    triesGivenBack: again.filter((count) => count > 1).length,
    alive: answers.filter((body) => body !== '{"active":false}').length,
  }
}
