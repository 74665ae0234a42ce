import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Stores } from '../../src/store/open-stores.ts'
import { FULL } from './full.ts'
import { createRecord, NOW } from './records.ts'

/** What stores have acknowledged under load. Times are those of performance.now(). */
export interface Outcome {
  /** Digests of tokens. */
  readonly created: string[]
  /** Digests, once for each redemption. */
  readonly redeemed: string[]
  /** Acknowledged creations of each instance. */
  readonly creations: readonly { begin: number; end: number }[][]
  /** When each revocation was acknowledged, by its subject. */
  readonly revoked: Map<string, number>
  /** Reads of all revocations. */
  readonly reads: { begin: number; subjects: ReadonlySet<string> }[]
}

const WORKERS = 4

/** Between a worker's creations: other tests run meanwhile. */
const CREATION_PAUSE_MS = FULL ? 0 : 5

/**
 * Creates tokens through all instances, redeems every second one through all of them, adds and reads revocations, until
 * it is told to end. Workers continue through failures.
 */
export function startLoad(instances: readonly Stores[]) {
  const outcome: Outcome = {
    created: [],
    redeemed: [],
    creations: instances.map(() => []),
    revoked: new Map(),
    reads: [],
  }
  let isRunning = true

  async function repeat(pauseMs: number, step: () => Promise<void>): Promise<void> {
    while (isRunning) {
      try {
        await step()
        if (pauseMs > 0) await sleep(pauseMs)
      } catch {
        await sleep(5)
      }
    }
  }

  async function create({ tokens }: Stores, at: number): Promise<void> {
    const record = createRecord()
    const begin = performance.now()
    await tokens.create(record)
    outcome.created.push(record.tokenDigest)
    outcome.creations[at]?.push({ begin, end: performance.now() })
    if (outcome.created.length % 2 === 0) await redeem(record.tokenDigest)
  }

  async function redeem(digest: string): Promise<void> {
    const attempts = instances.map(({ tokens }) => tokens.redeem(digest, 'registration', NOW))
    for (const attempt of await Promise.allSettled(attempts)) {
      if (attempt.status === 'fulfilled' && attempt.value.outcome === 'redeemed') outcome.redeemed.push(digest)
    }
  }

  let revocations = 0
  async function revoke({ revocations: store }: Stores): Promise<void> {
    const subject = `token ${revocations++}`
    await store.add({ subject, issuedUntil: NOW, expires: NOW + 300_000 }, NOW)
    outcome.revoked.set(subject, performance.now())
  }

  async function read(stores: Stores): Promise<void> {
    const begin = performance.now()
    outcome.reads.push({ begin, subjects: await readRevocations(stores) })
  }

  const workers = instances.flatMap((stores, at) => [
    ...Array.from({ length: WORKERS }, () => repeat(CREATION_PAUSE_MS, () => create(stores, at))),
    repeat(50, () => revoke(stores)),
    repeat(50, () => read(stores)),
  ])
  return {
    outcome,
    async end() {
      isRunning = false
      await Promise.all(workers)
      return outcome
    },
  }
}

/** Returns the subjects of all revocations. */
export async function readRevocations({ revocations }: Stores): Promise<Set<string>> {
  const subjects = new Set<string>()
  for (let cursor: string | undefined; ; ) {
    const page = await revocations.since(cursor)
    for (const { subject } of page.revocations) subjects.add(subject)
    if (page.complete) return subjects
    cursor = page.cursor
  }
}

/** Counts reads that lacked a revocation that was acknowledged before they began, although it was not lost. */
export function countStale({ revoked, reads }: Outcome, kept: ReadonlySet<string>): number {
  const known = [...revoked].filter(([subject]) => kept.has(subject))
  return reads.filter(({ begin, subjects }) => known.some(([subject, at]) => at < begin && !subjects.has(subject)))
    .length
}

/** Returns how long after a moment each instance first acknowledged a creation that began after it. */
export async function measureRecoveries({ creations }: Outcome, from: number, timeoutMs: number): Promise<number[]> {
  const recoveries = () => creations.map((ofOne) => ofOne.find(({ begin }) => begin > from)?.end)
  await expect.poll(recoveries, { timeout: timeoutMs }).not.toContain(undefined)
  return recoveries().map((end) => (end as number) - from)
}
