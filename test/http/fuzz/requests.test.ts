import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DEFAULT_CONNECTION_LIMITS } from '../../../src/http/listener.ts'
import { FULL } from '../../support/full.ts'
import { CAMPAIGN, createTally, reportFinding, SEED } from '../../support/fuzz/campaign.ts'
import { createConformance } from '../../support/fuzz/conformance.ts'
import { expectHealthy, expectQuiet } from '../../support/fuzz/healthy.ts'
import { type Answer, encodeRequest, type FuzzRequest, openConnection, show } from '../../support/fuzz/http.ts'
import { change, changes } from '../../support/fuzz/mutations.ts'
import { CONTRARY, drafts, FUZZED } from '../../support/fuzz/requests.ts'
import { startElsewhere, startHere } from '../../support/fuzz/target.ts'
import { createTokenPool } from '../../support/fuzz/tokens.ts'
import { trackSecret } from '../../support/leak-recorder.ts'

// Requests that are right but for one to three changes, many at a time on one connection: each is answered, in order, in the words
// of its own contract, as the OpenAPI document has them.

/** On one connection, at most. */
const BATCH = FULL ? DEFAULT_CONNECTION_LIMITS.maxPendingRequests : 32

/** Batches of each configuration, and of one connection. */
const BATCHES = FULL ? 10_800 : 60
const LANES = FULL ? 8 : 1

/** Batches between two looks at whether all is well. */
const LOOK = FULL ? 50 : 20

/** Bytes that the service may hold at any time beyond what it held in its first tenth. */
const GROWTH = 256 * 2 ** 20

const conformance = createConformance()
const REQUEST_ID = 'X-Request-Id'

test.each([
  ['as by default', FUZZED],
  ['with every setting the other way', CONTRARY],
])('answers any request as documented, configured %s', { timeout: CAMPAIGN + 60_000 }, async (what, configuration) => {
  await using target = await (FULL ? startElsewhere(configuration) : startHere(configuration))
  const pool = createTokenPool(FULL ? undefined : trackSecret)
  const tally = createTally()
  const memory: number[] = []
  let batches = 0
  let ids = 0

  async function look(): Promise<void> {
    for (let sent = await expectHealthy(target.port); sent > 0; sent--) tally.count(200)
    expect(target.faults()).toEqual([])
    memory.push(target.memory())
  }

  const batch = fc.array(fc.record({ draft: drafts, mutations: changes }), {
    minLength: BATCH / 4,
    maxLength: BATCH,
    size: 'max',
  })
  const isDescribed = fc.asyncProperty(batch, async (changed) => {
    const requests = changed.map((one) => withId(change(one, pool.fill), `fuzz-${++ids}`))
    const connection = openConnection(target.port)
    const answers = await connection.ask(requests)
    await connection.close()
    for (const [index, answer] of answers.entries()) {
      if (!answer) continue
      const request = requests[index] as FuzzRequest
      tally.count(answer.status)
      const faults = [...conformance.faultsOf(request, answer), ...faultsOfId(request, answer)]
      if (faults.length > 0) throw new Error(describeFault(request, answer, faults))
      pool.harvest(answer)
    }
    if (++batches % LOOK === 0) await look()
  })
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    fc.assert(isDescribed, {
      seed: SEED + lane,
      numRuns: Math.ceil(BATCHES / LANES),
      interruptAfterTimeLimit: CAMPAIGN,
      // A smaller batch is no clearer: the message says which of its requests it was.
      endOnFailure: true,
      reporter: reportFinding,
    }),
  )
  await Promise.all(lanes)
  await look()
  await expectQuiet(target)
  // From when everything has been used once; what a store in a file holds is not in memory.
  const early = memory.slice(0, Math.ceil(memory.length / 10))
  expect(Math.max(...memory)).toBeLessThan(Math.max(...early) + GROWTH)
  tally.report(`requests, ${what}`)
})

function withId(request: FuzzRequest, id: string): FuzzRequest {
  return { ...request, headers: [[REQUEST_ID, id], ...request.headers] }
}

/** Answers come in order, or whoever shares a connection would read somebody else's. */
function faultsOfId({ headers }: FuzzRequest, answer: Answer): string[] {
  const ids = headers.filter(([name]) => name.toLowerCase() === REQUEST_ID.toLowerCase())
  const [given] = ids
  const echoed = answer.headers.get('x-request-id')?.[0]
  return ids.length > 1 || given?.[1] === echoed ? [] : [`answers ${echoed}, and was asked ${given?.[1]}`]
}

function describeFault(request: FuzzRequest, { status, headers, body }: Answer, faults: readonly string[]): string {
  const said = [...headers].map(([name, values]) => `${name}: ${values.join(', ')}`).join('\n  ')
  return `${faults.join('; ')}\nto ${show(encodeRequest(request))}\n${status}\n  ${said}\n${show(body)}`
}
