import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DEFAULT_CONNECTION_LIMITS } from '../../../src/http/listener.ts'
import { FULL } from '../../support/full.ts'
import { CAMPAIGN_MS, createTally, reportFinding, SEED } from '../../support/fuzz/campaign.ts'
import { createConformance } from '../../support/fuzz/conformance.ts'
import { expectHealthy, expectQuiet } from '../../support/fuzz/healthy.ts'
import { type Answer, encodeRequest, type FuzzRequest, openConnection, show } from '../../support/fuzz/http.ts'
import { change, changes } from '../../support/fuzz/mutations.ts'
import { CONTRARY, drafts, FUZZED } from '../../support/fuzz/requests.ts'
import { faultsOfStandIn, STAND_INS, standInDrafts } from '../../support/fuzz/stand-ins.ts'
import { startElsewhere, startHere } from '../../support/fuzz/target.ts'
import { createTokenPool } from '../../support/fuzz/tokens.ts'
import { trackSecret } from '../../support/leak-recorder.ts'

// Sends correct requests with up to three changes, many at a time on one connection. Each must be answered in order
// and as the OpenAPI document, or the page of the stand-ins, describes.

/** The most requests on one connection. */
const MAX_BATCH_SIZE = FULL ? DEFAULT_CONNECTION_LIMITS.maxPendingRequests : 32

/** Batches for each configuration, and how many run in parallel. */
const BATCHES = FULL ? 10_800 : 40
const LANES = FULL ? 8 : 1

/** Batches between two health checks. */
const BATCHES_PER_CHECK = FULL ? 50 : 20

/** How much the memory may grow beyond the first tenth of the run. */
const MAX_GROWTH_BYTES = 256 * 2 ** 20

const conformance = createConformance()
const REQUEST_ID = 'X-Request-Id'

test.each([
  ['with the default settings', FUZZED, drafts],
  ['with the opposite settings', CONTRARY, drafts],
  ['with stand-ins (S1, S10)', STAND_INS, fc.oneof(drafts, standInDrafts)],
])('answers any request as documented, %s', { timeout: CAMPAIGN_MS + 60_000 }, async (what, configuration, draft) => {
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

  const batch = fc.array(fc.record({ draft, mutations: changes }), {
    minLength: MAX_BATCH_SIZE / 4,
    maxLength: MAX_BATCH_SIZE,
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
      const described = configuration === STAND_INS ? faultsOfStandIn(request, answer) : undefined
      const faults = [...(described ?? conformance.faultsOf(request, answer)), ...faultsOfId(request, answer)]
      if (faults.length > 0) throw new Error(describeFault(request, answer, faults))
      pool.harvest(answer)
    }
    if (++batches % BATCHES_PER_CHECK === 0) await look()
  })
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    fc.assert(isDescribed, {
      seed: SEED + lane,
      numRuns: Math.ceil(BATCHES / LANES),
      interruptAfterTimeLimit: CAMPAIGN_MS,
      // Do not shrink: the message already names the failing request of the batch.
      endOnFailure: true,
      reporter: reportFinding,
    }),
  )
  await Promise.all(lanes)
  await look()
  await expectQuiet(target)
  // The first tenth uses every part once. A store in a file does not count as memory.
  const early = memory.slice(0, Math.ceil(memory.length / 10))
  expect(Math.max(...memory)).toBeLessThan(Math.max(...early) + MAX_GROWTH_BYTES)
  tally.report(`requests, ${what}`)
})

function withId(request: FuzzRequest, id: string): FuzzRequest {
  return { ...request, headers: [[REQUEST_ID, id], ...request.headers] }
}

/** Expects the id of the request in the answer. Mixed-up answers would leak tokens between clients. */
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
