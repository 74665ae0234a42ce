// The load generator: a process of its own, so that it can have a core of its own. Jobs come and reports go over the channel to
// its parent.

import { setDefaultAutoSelectFamily } from 'node:net'
import type { Job, Measured, Report } from './protocol.ts'
import { createSource, runStretch } from './run.ts'

setDefaultAutoSelectFamily(false)

/** Seconds that collecting tokens may take: on a slow store the stretch then ends with those that there are, before its time. */
const LONGEST_COLLECTION = 10

const tokens: string[] = []

async function collect({ port, connections, requests, count }: Extract<Job, { kind: 'collect' }>): Promise<Measured> {
  tokens.length = 0
  const fixed = Buffer.from(requests.request)
  let left = count
  return runStretch({
    port,
    connections,
    expect: requests.expect,
    seconds: LONGEST_COLLECTION,
    rate: undefined,
    awake: false,
    next: () => (left-- > 0 ? fixed : undefined),
    onBody: ([, token = '']) => tokens.push(token),
  })
}

function load({
  port,
  connections,
  requests,
  seconds,
  rate,
  awake,
}: Extract<Job, { kind: 'load' }>): Promise<Measured> {
  const next = createSource(requests, tokens, connections)
  return runStretch({ port, connections, expect: requests.expect, seconds, rate, awake, next })
}

process.on('message', async (job: Job) => {
  let report: Report
  try {
    report = { done: await (job.kind === 'collect' ? collect(job) : load(job)) }
  } catch (error) {
    report = { error: (error as Error).message }
  }
  process.send?.(report)
})
