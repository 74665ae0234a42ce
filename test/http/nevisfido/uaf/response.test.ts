import { afterAll, describe, expect, test } from 'vitest'
import { digestId } from '../../../../src/core/fido/issue.ts'
import type { AnswerChanges } from '../../../../src/development/authenticator/misbehaviour.ts'
import { TAG } from '../../../../src/development/authenticator/tlv.ts'
import type { UafResponse } from '../../../../src/development/authenticator/uaf-message.ts'
import { codeOf, OPEN } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import {
  AAID,
  attempt,
  createPhone,
  createRegisteredPhone,
  respond,
  startSession,
  statusOf,
  withBytes,
  withValue,
} from '../../../support/uaf.ts'

const OTHER_AAID = 'FFFF#0002'
const ORIGIN = 'https://fido.example.com'
const APP_FACET = 'android:apk-key-hash:2jmj7l5rSw0yVb/vlWAYkK/YBwk'
const both = { accepted: [[{ aaid: [AAID] }, { aaid: [OTHER_AAID] }]] }
const clock = createFrozenClock()
const service = await startService({
  clock,
  configuration: { nevisfido: { ...OPEN, facets: [ORIGIN, APP_FACET], policies: { both } } },
})
afterAll(() => service.close())

const HOUR = 3_600_000

/** The message of an answer, for changes to its text. */
type Message = Record<string, unknown> & { header: Record<string, unknown> }

/** Sends a correct answer to a registration, with a changed body; the session goes with the code. */
async function sendChanged(change: (message: Message) => unknown) {
  const session = await startSession(service, 'registration')
  const { body } = await createPhone(service).answer(session.uafRequest)
  const { uafResponse } = body as { uafResponse: string }
  const code = codeOf(await respond(service, 'registration', change(JSON.parse(uafResponse)[0]) as string | object))
  return { ...session, body, code }
}

/** Wraps messages as a client does. */
const wrap = (...messages: unknown[]) => ({ uafResponse: JSON.stringify(messages) })
const withHeader = (changes: object) => (message: Message) =>
  wrap({ ...message, header: { ...message.header, ...changes } })
const withMember = (changes: object) => (message: Message) => wrap({ ...message, ...changes })
const lacking = (name: string) => (message: Message) => wrap({ ...message, [name]: undefined })

interface Malformed {
  readonly title: string
  readonly change: (message: Message) => unknown
}

const BODIES: readonly Malformed[] = [
  { title: 'no body', change: () => '' },
  { title: 'a body that is not JSON', change: () => '{' },
  { title: 'null', change: () => 'null' },
  { title: 'an array', change: (message) => [wrap(message)] },
  { title: 'no uafResponse', change: () => ({}) },
  { title: 'a uafResponse that is not a string', change: (message) => ({ uafResponse: [message] }) },
  { title: 'a uafResponse that is not JSON', change: () => ({ uafResponse: '[{' }) },
  { title: 'a context that is not a string', change: (message) => ({ ...wrap(message), context: {} }) },
  { title: 'a body over the size limit', change: (message) => ({ ...wrap(message), context: 'x'.repeat(70_000) }) },
]

const FORMS: readonly Malformed[] = [
  { title: 'an empty array', change: () => wrap() },
  { title: 'two messages', change: (message) => wrap(message, message) },
  { title: 'a message outside an array', change: (message) => ({ uafResponse: JSON.stringify(message) }) },
  { title: 'a message that is null', change: () => wrap(null) },
  ...['header', 'fcParams', 'assertions'].map((name) => ({ title: `no ${name}`, change: lacking(name) })),
  ...['upv', 'op', 'appID', 'serverData'].map((name) => ({
    title: `no ${name} in the header`,
    change: withHeader({ [name]: undefined }),
  })),
  { title: 'a version that is text', change: withHeader({ upv: { major: '1', minor: '1' } }) },
  { title: 'a version with a fraction', change: withHeader({ upv: { major: 1, minor: 1.5 } }) },
  { title: 'an op that is not text', change: withHeader({ op: 1 }) },
  { title: 'an empty appID', change: withHeader({ appID: '' }) },
  { title: 'an appID of 513 characters', change: withHeader({ appID: 'x'.repeat(513) }) },
  { title: 'an empty serverData', change: withHeader({ serverData: '' }) },
  { title: 'a serverData of 1537 characters', change: withHeader({ serverData: 'x'.repeat(1537) }) },
  { title: 'fcParams that are not a string', change: withMember({ fcParams: {} }) },
  { title: 'assertions that are not an array', change: withMember({ assertions: {} }) },
  {
    title: '17 assertions',
    change: withMember({ assertions: Array(17).fill({ assertionScheme: 'x', assertion: 'x' }) }),
  },
  { title: 'an assertion that is text', change: withMember({ assertions: ['x'] }) },
  { title: 'an assertion without a scheme', change: withMember({ assertions: [{ assertion: 'x' }] }) },
  {
    title: 'an assertion that is not text',
    change: withMember({ assertions: [{ assertionScheme: 'UAFV1TLV', assertion: 1 }] }),
  },
]

describe('the body', () => {
  test.each(BODIES)('U9: returns 1400 for $title', async ({ change }) => {
    expect((await sendChanged(change)).code).toBe(1400)
  })

  test.each(FORMS)('U10: returns 1400 for $title', async ({ change }) => {
    expect((await sendChanged(change)).code).toBe(1400)
  })

  test('U9, U10: accepts unknown members, a context that is not JSON, and 512 and 1536 characters as a form', async () => {
    const good = await sendChanged((message) => ({ ...wrap({ ...message, more: 1 }), context: 'text', more: 1 }))
    expect(good.code).toBe(1200)
    const long = await sendChanged(withHeader({ appID: 'x'.repeat(512), serverData: 'x'.repeat(1536) }))
    expect(long.code).toBe(1491)
  })

  test.each(['Auth', 'Dereg', 'Registration', ''])(
    'U11: returns 1498 for op %j at the registration service',
    async (op) => {
      expect((await sendChanged(withHeader({ op }))).code).toBe(1498)
    },
  )

  test('U11: returns 1498 to an answer at the service of another operation, and to an op that is not of the session', async () => {
    const { uafRequest, sessionId } = await startSession(service, 'registration')
    const { body } = await createPhone(service).answer(uafRequest)
    expect(codeOf(await respond(service, 'authentication', body))).toBe(1498)
    const { uafResponse } = body as { uafResponse: string }
    const renamed = { uafResponse: uafResponse.replace('"op":"Reg"', '"op":"Auth"') }
    expect(codeOf(await respond(service, 'authentication', renamed))).toBe(1498)
    expect((await statusOf(service, sessionId)).status).toBe('clientRegistering')
    expect(codeOf(await respond(service, 'registration', body))).toBe(1200)
  })

  test.each([
    { row: 'U9', change: BODIES[1]?.change, code: 1400 },
    { row: 'U10', change: FORMS[0]?.change, code: 1400 },
    { row: 'U11', change: withHeader({ op: 'Auth' }), code: 1498 },
    { row: 'U12', change: withHeader({ serverData: 'AAAA' }), code: 1491 },
  ])('U8: after $code by $row the session waits on, and takes the right answer', async ({ change, code }) => {
    const sent = await sendChanged(change ?? (() => ''))
    expect(sent.code).toBe(code)
    expect(await statusOf(service, sent.sessionId)).toMatchObject({ status: 'clientRegistering' })
    expect(codeOf(await respond(service, 'registration', sent.body))).toBe(1200)
  })
})

describe('the session', () => {
  test.each(['AAAA', 'x', 'not base64url!', ' '])(
    'U12: returns 1491 for the serverData "%s", which no session has',
    async (serverData) => {
      expect((await sendChanged(withHeader({ serverData }))).code).toBe(1491)
    },
  )

  test('U12: returns 1491 for a token or session id as serverData', async () => {
    const { token, sessionId } = await startSession(service, 'registration')
    for (const serverData of [token, sessionId]) expect((await sendChanged(withHeader({ serverData }))).code).toBe(1491)
  })

  test.each([
    { outcome: 'succeeded', change: {}, first: 1200 },
    { outcome: 'failed', change: { response: (response) => ({ ...response, assertions: [] }) }, first: 1498 },
  ] satisfies { outcome: string; change: AnswerChanges; first: number }[])(
    'U12, U8: returns 1491 to a second answer after the first $outcome, and the outcome stays',
    async ({ outcome, change, first }) => {
      const { uafRequest, sessionId } = await startSession(service, 'registration')
      const phone = createPhone(service)
      const [answer, second] = [await phone.answer(uafRequest, { change }), await phone.answer(uafRequest)]
      expect(codeOf(await respond(service, 'registration', answer.body))).toBe(first)
      const settled = await statusOf(service, sessionId)
      expect(settled).toMatchObject({ status: outcome, uafStatusCode: first })
      clock.advance(1_000)
      for (const { body } of [answer, second]) expect(codeOf(await respond(service, 'registration', body))).toBe(1491)
      expect(await statusOf(service, sessionId)).toEqual(settled)
    },
  )

  test('U12: returns 1491 after the token was revoked', async () => {
    const { token, uafRequest } = await startSession(service, 'registration')
    const { body } = await createPhone(service).answer(uafRequest)
    await service.stores.tokens.revoke(digestId(token), clock())
    expect(codeOf(await respond(service, 'registration', body))).toBe(1491)
  })

  test('U13: takes an answer until the lifetime ends, then returns 1408 for an hour, then 1491', async () => {
    const answers = []
    for (let count = 0; count < 4; count++) {
      const { uafRequest } = await startSession(service, 'registration')
      answers.push(await createPhone(service).answer(uafRequest))
    }
    const [inTime, late, later, latest] = answers.map(
      ({ body }) =>
        () =>
          respond(service, 'registration', body).then(codeOf),
    )
    clock.advance(299_999)
    expect(await inTime?.()).toBe(1200)
    clock.advance(1)
    expect(await late?.()).toBe(1408)
    expect(await late?.()).toBe(1408)
    clock.advance(HOUR - 1)
    expect(await later?.()).toBe(1408)
    clock.advance(1)
    expect(await latest?.()).toBe(1491)
  })

  test('U13: counts from the redemption, and not from the creation of the token', async () => {
    const phone = await createRegisteredPhone(service, {}, 'ann')
    const { uafRequest, sessionId } = await startSession(service, 'authentication', { username: 'ann' })
    const { body } = await phone.answer(uafRequest)
    clock.advance(120_000)
    expect(codeOf(await respond(service, 'authentication', body))).toBe(1408)
    expect(await statusOf(service, sessionId)).toMatchObject({ status: 'failed', uafStatusCode: 1408 })
  })
})

const failIfUnknown = (value: boolean) => [{ id: 'trimint.test', data: 'AA', fail_if_unknown: value }]

interface Case {
  readonly title: string
  readonly change: AnswerChanges
  readonly code: number
}

const HEADERS: readonly Case[] = [
  { title: 'version 1.0', change: { header: (header) => ({ ...header, upv: { major: 1, minor: 0 } }) }, code: 1498 },
  { title: 'version 2.1', change: { header: (header) => ({ ...header, upv: { major: 2, minor: 1 } }) }, code: 1498 },
  { title: 'another appID', change: { header: (header) => ({ ...header, appID: `${header.appID}/` }) }, code: 1498 },
  {
    title: 'an extension that must be known',
    change: { header: (header) => ({ ...header, exts: failIfUnknown(true) }) },
    code: 1498,
  },
  {
    title: 'an extension that may be unknown',
    change: { header: (header) => ({ ...header, exts: failIfUnknown(false) }) },
    code: 1200,
  },
]

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

const FINAL_CHALLENGES: readonly Case[] = [
  {
    title: 'an https origin in capitals',
    change: { fcParams: (params) => ({ ...params, facetID: 'HTTPS://FIDO.EXAMPLE.COM' }) },
    code: 1200,
  },
  {
    title: 'an https origin with a last slash',
    change: { fcParams: (params) => ({ ...params, facetID: `${ORIGIN}/` }) },
    code: 1200,
  },
  { title: "an app's facet", change: { fcParams: (params) => ({ ...params, facetID: APP_FACET }) }, code: 1200 },
  {
    title: "an app's facet in capitals",
    change: { fcParams: (params) => ({ ...params, facetID: APP_FACET.toUpperCase() }) },
    code: 1498,
  },
  {
    title: "an app's facet with a last slash",
    change: { fcParams: (params) => ({ ...params, facetID: `${APP_FACET}/` }) },
    code: 1498,
  },
  {
    title: 'an unknown facet',
    change: { fcParams: (params) => ({ ...params, facetID: 'https://example.com' }) },
    code: 1498,
  },
  {
    title: 'a facet with another port',
    change: { fcParams: (params) => ({ ...params, facetID: `${ORIGIN}:8443` }) },
    code: 1498,
  },
  { title: 'no facetID', change: { fcParams: ({ facetID: _, ...params }) => params }, code: 1498 },
  {
    title: 'another appID',
    change: { fcParams: (params) => ({ ...params, appID: 'https://example.com' }) },
    code: 1498,
  },
  {
    title: 'a channel binding with members',
    change: { fcParams: (params) => ({ ...params, channelBinding: { serverEndPoint: 'AA', cid_pubkey: 'x' } }) },
    code: 1200,
  },
  {
    title: 'a channel binding that is text',
    change: { fcParams: (params) => ({ ...params, channelBinding: 'x' }) },
    code: 1498,
  },
  {
    title: 'a channel binding with a number',
    change: { fcParams: (params) => ({ ...params, channelBinding: { cid_pubkey: 1 } }) },
    code: 1498,
  },
  { title: 'no channel binding', change: { fcParams: ({ channelBinding: _, ...params }) => params }, code: 1498 },
  { title: 'unknown members', change: { fcParams: (params) => ({ ...params, more: 1 }) }, code: 1200 },
  {
    title: 'another challenge',
    change: { fcParams: (params) => ({ ...params, challenge: encode('another challenge of the same kind') }) },
    code: 1491,
  },
  { title: 'no challenge', change: { fcParams: ({ challenge: _, ...params }) => params }, code: 1498 },
  {
    title: 'padding',
    change: { fcParams: (params) => `${encode(params)}=` },
    code: 1498,
  },
  {
    title: 'base64 that is not base64url',
    change: {
      fcParams: (params) => Buffer.from(JSON.stringify({ more: '\u00ff\u00ff>>>???', ...params })).toString('base64'),
    },
    code: 1498,
  },
  { title: 'text that is not JSON', change: { fcParams: () => encode('{') }, code: 1498 },
  { title: 'an array', change: { fcParams: (params) => encode([params]) }, code: 1498 },
  { title: 'nothing', change: { fcParams: () => '' }, code: 1498 },
]

const withAssertion = (changes: object) => (response: UafResponse) => ({
  ...response,
  assertions: response.assertions.map((assertion) => ({ ...assertion, ...changes })),
})

const ASSERTIONS: readonly Case[] = [
  {
    title: 'an extension that must be known',
    change: { response: withAssertion({ exts: failIfUnknown(true) }) },
    code: 1498,
  },
  {
    title: 'an extension that may be unknown',
    change: { response: withAssertion({ exts: failIfUnknown(false) }) },
    code: 1200,
  },
  { title: 'another scheme', change: { response: withAssertion({ assertionScheme: 'UAFV2TLV' }) }, code: 1498 },
  { title: 'an empty assertion', change: { response: withAssertion({ assertion: '' }) }, code: 1498 },
  {
    title: 'an assertion that is not base64url',
    change: { response: withAssertion({ assertion: '+/+/' }) },
    code: 1498,
  },
  {
    title: 'an assertion of 4097 bytes',
    change: { response: withAssertion({ assertion: Buffer.alloc(4097).toString('base64url') }) },
    code: 1498,
  },
  {
    title: 'a padded assertion',
    change: {
      response: (response) => ({
        ...response,
        assertions: response.assertions.map(({ assertion, ...rest }) => ({ ...rest, assertion: `${assertion}=` })),
      }),
    },
    code: 1498,
  },
]

describe('header, final challenge and assertions', () => {
  const rows = [
    ['U14', HEADERS],
    ['U15', FINAL_CHALLENGES],
    ['U17', ASSERTIONS],
  ] as const
  const cases = rows.flatMap(([row, list]) => list.map((entry) => ({ row, ...entry })))

  test.each(cases)('$row: returns $code for $title, and settles the session', async ({ change, code }) => {
    const { code: replied, sessionId } = await attempt(service, createPhone(service), 'registration', { change })
    expect(replied).toBe(code)
    expect(await statusOf(service, sessionId)).toMatchObject({
      status: code === 1200 ? 'succeeded' : 'failed',
      uafStatusCode: code,
    })
  })

  test.each([
    { misbehave: 'declines', asmStatusCode: 3 },
    { misbehave: 'wrongFinger', asmStatusCode: 2 },
  ] as const)(
    'U16: returns 1498 where the client $misbehave, and tells ASM status $asmStatusCode',
    async ({ misbehave, asmStatusCode }) => {
      for (const operation of ['registration', 'authentication'] as const) {
        const phone = await createRegisteredPhone(service, {}, `${misbehave}-${operation}`)
        const { code, sessionId } = await attempt(
          service,
          phone,
          operation,
          { misbehave },
          { username: `${misbehave}-${operation}` },
        )
        expect(code).toBe(1498)
        expect(await statusOf(service, sessionId)).toMatchObject({
          status: 'failed',
          uafStatusCode: 1498,
          asmStatusCode,
        })
      }
    },
  )

  test('U16: tells the ASM status of a good answer too', async () => {
    const change: AnswerChanges = { body: (body) => ({ ...body, context: '{"asmStatusCode":0}' }) }
    const { code, sessionId } = await attempt(service, createPhone(service), 'registration', { change })
    expect(code).toBe(1200)
    expect(await statusOf(service, sessionId)).toMatchObject({ status: 'succeeded', asmStatusCode: 0 })
  })

  test.each([
    '',
    'text',
    '{',
    'null',
    '[]',
    '{}',
    '{"asmStatusCode":"3"}',
    '{"asmStatusCode":1.5}',
    '{"asmStatusCode":null}',
  ])('U16: passes over the context %s', async (context) => {
    const change: AnswerChanges = { body: (body) => ({ ...body, context }) }
    const { code, sessionId } = await attempt(service, createPhone(service), 'registration', { change })
    expect(code).toBe(1200)
    expect(await statusOf(service, sessionId)).not.toHaveProperty('asmStatusCode')
  })
})

describe('the hash of the final challenge', () => {
  test.each(['registration', 'authentication'] as const)(
    'U23: returns 1498 where a %s has signed another text',
    async (operation) => {
      const username = `hash-${operation}`
      const phone = await createRegisteredPhone(service, {}, username)
      const change: AnswerChanges = {
        signed: withBytes(TAG.FINAL_CHALLENGE_HASH, (bytes) => void bytes.writeUInt8(bytes.readUInt8() ^ 1)),
      }
      expect((await attempt(service, phone, operation, { change }, { username })).code).toBe(1498)
      const short: AnswerChanges = { signed: withValue(TAG.FINAL_CHALLENGE_HASH, new Uint8Array()) }
      expect((await attempt(service, phone, operation, { change: short }, { username })).code).toBe(1498)
    },
  )

  test('U23: hashes the text as sent, and not its content', async () => {
    const change: AnswerChanges = { fcParams: (params) => encode(` ${JSON.stringify(params, undefined, 1)} `) }
    expect((await attempt(service, createPhone(service), 'registration', { change })).code).toBe(1200)
  })
})

describe('several assertions', () => {
  const policy = 'both'
  const scheme = 'UAFV1TLV'
  type Assertions = UafResponse['assertions']

  /** Answers one registration with a phone of each model, whose assertions a function arranges. */
  async function sendTogether(
    arrange: (first: Assertions, second: Assertions) => readonly unknown[],
    changes: readonly [AnswerChanges?, AnswerChanges?] = [],
    username = 'both',
  ) {
    const session = await startSession(service, 'registration', { username, policy })
    const answers = []
    for (const [index, aaid] of [AAID, OTHER_AAID].entries()) {
      const { body } = await createPhone(service, { aaid }).answer(session.uafRequest, { change: changes[index] })
      answers.push(JSON.parse((body as { uafResponse: string }).uafResponse)[0] as UafResponse)
    }
    const assertions = arrange(answers[0]?.assertions ?? [], answers[1]?.assertions ?? [])
    const code = codeOf(await respond(service, 'registration', wrap({ ...answers[0], assertions })))
    return { code, status: await statusOf(service, session.sessionId) }
  }

  test('U28: accepts assertions that together fill a set of the policy, in any order', async () => {
    const { code, status } = await sendTogether((first, second) => [...second, ...first])
    expect(code).toBe(1200)
    expect(status.authenticators?.map(({ aaid }) => aaid).toSorted()).toEqual([AAID, OTHER_AAID])
  })

  test('U28: returns 1492 where a set of the policy is not filled', async () => {
    expect((await sendTogether((first) => first)).code).toBe(1492)
  })

  test('U28: skips an assertion that fails where the others fill a set', async () => {
    const broken = { assertionScheme: scheme, assertion: 'AAAA' }
    const { code, status } = await sendTogether((first, second) => [broken, ...first, ...second])
    expect(code).toBe(1200)
    expect(status.authenticators).toHaveLength(2)
  })

  test('U28: returns the code of the first failure where the others do not fill a set', async () => {
    const wrong: AnswerChanges = { signed: withValue(TAG.FINAL_CHALLENGE_HASH, Buffer.alloc(32)) }
    const other: AnswerChanges = { assertion: ([krd]) => (krd ? [krd, { tag: 0x3e09, value: [] }] : []) }
    expect((await sendTogether((first, second) => [...second, ...first], [wrong, other])).code).toBe(1496)
    expect((await sendTogether((first, second) => [...first, ...second], [wrong, other])).code).toBe(1498)
  })

  test('U28: refuses the whole where an AAID and key id come twice', async () => {
    expect((await sendTogether((first, second) => [...first, ...second, ...first])).code).toBe(1498)
  })

  test('U28: refuses the whole for a critical tag that is unknown, even in a superfluous assertion', async () => {
    const { code } = await sendTogether((first, second) => [
      ...first,
      ...second,
      { assertionScheme: scheme, assertion: Buffer.from('013e0400992e0000', 'hex').toString('base64url') },
    ])
    expect(code).toBe(1498)
  })
})
