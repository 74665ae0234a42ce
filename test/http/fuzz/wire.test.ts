import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { FULL } from '../../support/full.ts'
import { CAMPAIGN_MS, createTally, reportFinding, SEED } from '../../support/fuzz/campaign.ts'
import { createConformance, FUZZ_METHODS } from '../../support/fuzz/conformance.ts'
import { expectHealthy, expectQuiet } from '../../support/fuzz/healthy.ts'
import { type Answer, encodeRequest, sendRaw, show } from '../../support/fuzz/http.ts'
import { change } from '../../support/fuzz/mutations.ts'
import { FUZZED } from '../../support/fuzz/requests.ts'
import { startElsewhere, startHere } from '../../support/fuzz/target.ts'
import { createTokenPool } from '../../support/fuzz/tokens.ts'
import { brokenRequests, REFUSED, SMUGGLED, toPieces, UNDERSTOOD } from '../../support/fuzz/wire.ts'

// Sends bytes that are not HTTP, or not quite. Trimint answers or closes the connection, and never reads two requests
// where another server might read one.

const target = await (FULL ? startElsewhere(FUZZED) : startHere(FUZZED, { head: 1_000, whole: 1_500 }))
const conformance = createConformance()
const tally = createTally()
afterAll(async () => {
  tally.report('broken requests')
  await target[Symbol.asyncDispose]()
})

const idsOf = (answers: readonly Answer[]): (string | undefined)[] =>
  answers.map(({ headers }) => headers.get('x-request-id')?.[0])

async function send(bytes: string): Promise<readonly Answer[]> {
  const { answers, rest, ended } = await sendRaw(
    target.port,
    [{ bytes: Buffer.from(bytes, 'latin1'), pauseMs: 0 }],
    'wait',
    ['POST', 'GET'],
  )
  expect([rest.length, ended]).toEqual([0, true])
  for (const { status } of answers) tally.count(status)
  return answers
}

describe('answers no second request after an ambiguous one', () => {
  test.each(REFUSED)('$what', { timeout: 60_000 }, async ({ bytes }) => {
    const answers = await send(bytes)
    expect(answers.length).toBeLessThanOrEqual(1)
    expect(idsOf(answers)).not.toContain(SMUGGLED)
    for (const answer of answers) expect(answer.status).toBe(answer.status === 431 ? 431 : 400)
    expect(target.faults()).toEqual([])
  })
})

describe('answers both requests when their boundary is unambiguous', () => {
  test.each(UNDERSTOOD)('$what', async ({ bytes }) => {
    const second = bytes.lastIndexOf('\r\n\r\n')
    const answers = await send(`${bytes.slice(0, second)}\r\nConnection: close${bytes.slice(second)}`)
    expect(idsOf(answers)).toEqual([expect.not.stringMatching(SMUGGLED), SMUGGLED])
    expect(target.faults()).toEqual([])
  })
})

test('answers or closes a connection after changed, cut, late or missing bytes', {
  timeout: CAMPAIGN_MS + 60_000,
}, async () => {
  const pool = createTokenPool()
  let runs = 0

  const isAnsweredOrClosed = fc.asyncProperty(brokenRequests, async (broken) => {
    const whole = encodeRequest(change(broken.changed, pool.fill))
    const pieces = toPieces(broken, whole)
    const bytes = Buffer.concat(pieces.map((piece) => piece.bytes))
    const asked = readRequestLine(bytes)
    const { answers, rest } = await sendRaw(target.port, pieces, broken.leave, [asked?.method ?? 'GET'])
    const [first, ...others] = answers
    // The parser may not have recognized a broken HEAD request, and then answers with a body.
    const isCutOff = asked?.method === 'HEAD' && others.length === 0 && first && isLastWord(first)
    for (const { status } of answers) tally.count(status)
    const faults = [
      ...(first ? faultsOf(asked, isCutOff ? { ...first, body: rest } : first) : []),
      ...others.flatMap(({ status }) => (status < 500 ? [] : [`status ${status}`])),
      ...(rest.length > 0 && !isCutOff ? [`and ${show(rest)}`] : []),
      ...target.faults(),
    ]
    if (faults.length > 0) throw new Error(`${faults.join('; ')}\nto ${show(bytes)}, ${broken.leave}\n${tell(answers)}`)
    if (++runs % 500 === 0) await expectHealthy(target.port)
  })
  const lanes = FULL ? 4 : 2
  await Promise.all(
    Array.from({ length: lanes }, (_, lane) =>
      fc.assert(isAnsweredOrClosed, {
        seed: SEED + lane,
        numRuns: (FULL ? 60_000 : 300) / lanes,
        interruptAfterTimeLimit: CAMPAIGN_MS,
        endOnFailure: true,
        reporter: reportFinding,
      }),
    ),
  )
  await expectHealthy(target.port)
  await expectQuiet(target)

  function faultsOf(asked: RequestLine | undefined, answer: Answer): string[] {
    const lastWord = isLastWord(answer) ? conformance.faultsOfLastWord(answer) : ['no last word']
    if (lastWord.length === 0) return []
    return asked ? conformance.faultsOf(asked, answer) : lastWord
  }

  function tell(answers: readonly Answer[]): string {
    return answers
      .map(({ status, headers, body }) => `${status} ${JSON.stringify([...headers])} ${show(body)}`)
      .join('\n')
  }
})

const isLastWord = ({ headers }: Answer): boolean => !headers.has('x-request-id')

interface RequestLine {
  readonly method: string
  readonly target: string
}

/** Returns the method that the parser reads from a request; undefined when it rejects the request. */
function readRequestLine(bytes: Buffer): RequestLine | undefined {
  const [, method = '', target = ''] =
    /^[\r\n]*([A-Z-]+) +([^ \r\n]+)(?: +HTTP\/1\.[01])?\r?\n/.exec(bytes.toString('latin1')) ?? []
  return FUZZ_METHODS.includes(method) ? { method, target } : undefined
}

describe('answers 408 or closes for a request that never ends', () => {
  const endless = [
    ['in its first line', 'GET /heal'],
    ['in a header', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: '],
    ['behind its headers', 'POST /introspect HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc'],
    ['in a chunk', 'POST /revoke HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc'],
    [
      'before its last chunk',
      'POST /nevisfido/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n',
    ],
    ['after a whole one', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea'],
  ] as const
  test.concurrent.each(endless)('%s', { timeout: 60_000 }, async (_where, bytes) => {
    await send(bytes)
  })

  test.concurrent('sent byte by byte', { timeout: 60_000 }, async () => {
    const slow = Buffer.from(`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(FULL ? 600 : 60)}`)
    const pieces = Array.from(slow, (_, index) => ({ bytes: slow.subarray(index, index + 1), pauseMs: 50 }))
    const { answers } = await sendRaw(target.port, pieces, 'wait', ['GET'])
    expect(answers.map(({ status }) => status)).toEqual([408])
  })
})

test('keeps no connection of clients that leave in the middle of a request', { timeout: 60_000 }, async () => {
  const half = Buffer.from('POST /introspect HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc')
  const leavers = Array.from({ length: FULL ? 2_000 : 100 }, () =>
    sendRaw(target.port, [{ bytes: half, pauseMs: 0 }], 'reset', ['POST']),
  )
  await Promise.all(leavers)
  await expectQuiet(target)
  await expectHealthy(target.port)
})
