import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readContext } from '../../../../src/core/fido/context.ts'
import {
  ALL_KEYS,
  createUafRequest,
  DEFAULT_POLICY,
  tokenDigestOf,
  type UafRequestDetails,
} from '../../../../src/core/fido/uaf-request.ts'
import { codePoint } from '../../../support/arbitraries.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'
import { uafRequestText } from '../../../support/uaf-schema.ts'

const appId = 'https://fido.example.com/nevisfido/uaf/1.1/facets'
const policy = { accepted: [[{ aaid: ['F1D0#0001'] }]] }
const text = { contentType: 'text/plain', content: Buffer.from('Pay 10 CHF?>') } as const
const image = {
  contentType: 'image/png',
  content: Buffer.from([0xfb, 0xff]),
  tcDisplayPNGCharacteristics: {
    width: 320,
    height: 240,
    bitDepth: 8,
    colorType: 2,
    compression: 0,
    filter: 0,
    interlace: 0,
  },
} as const

const unpredictable = { uuid: () => '', bytes: (length: number): Uint8Array => randomBytes(length) }

const TOKEN_DIGEST = Buffer.alloc(32, 0xd0).toString('base64url')

function create(details: UafRequestDetails, randomness = createPredictableRandomness()): string {
  return createUafRequest(details, TOKEN_DIGEST, randomness)
}

describe('createUafRequest', () => {
  const serverData = Buffer.from([...Buffer.alloc(32, 0xd0), ...Array(32).keys()]).toString('base64url')
  const challenge = 'ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8'
  const header = (op: string): string =>
    `"header":{"upv":{"major":1,"minor":1},"op":"${op}","appID":"${appId}","serverData":"${serverData}"}`
  const cases: [string, UafRequestDetails, string][] = [
    [
      'registration',
      { operation: 'registration', appId, username: 'jeff', policy },
      `[{${header('Reg')},"challenge":"${challenge}","username":"jeff","policy":{"accepted":[[{"aaid":["F1D0#0001"]}]]}}]`,
    ],
    [
      'authentication',
      { operation: 'authentication', appId, policy },
      `[{${header('Auth')},"challenge":"${challenge}","policy":{"accepted":[[{"aaid":["F1D0#0001"]}]]}}]`,
    ],
    [
      'authentication with a text to confirm',
      { operation: 'authentication', appId, policy, transaction: [text] },
      `[{${header('Auth')},"challenge":"${challenge}","transaction":[{"contentType":"text/plain","content":"UGF5IDEwIENIRj8-"}],"policy":{"accepted":[[{"aaid":["F1D0#0001"]}]]}}]`,
    ],
    [
      'authentication with an image to confirm',
      { operation: 'authentication', appId, policy, transaction: [image] },
      `[{${header('Auth')},"challenge":"${challenge}","transaction":[{"contentType":"image/png","content":"-_8","tcDisplayPNGCharacteristics":{"width":320,"height":240,"bitDepth":8,"colorType":2,"compression":0,"filter":0,"interlace":0}}],"policy":{"accepted":[[{"aaid":["F1D0#0001"]}]]}}]`,
    ],
    [
      'deregistration: every key of the app, without challenge and policy',
      { operation: 'deregistration', appId, authenticators: ALL_KEYS },
      `[{${header('Dereg')},"authenticators":[{"aaid":"","keyID":""}]}]`,
    ],
  ]

  test.each(cases)('N25: creates a known request from known random bytes: %s', (_, details, expected) => {
    expect(create(details)).toBe(expected)
    expect(uafRequestText.safeParse(expected).error).toBeUndefined()
  })
})

test('N25: creates another challenge and other server data in each of a thousand identical calls', () => {
  const seen = new Set<string>()
  for (let count = 0; count < 1000; count++) {
    const [request] = JSON.parse(create({ operation: 'authentication', appId, policy }, unpredictable))
    expect(Buffer.from(request.challenge, 'base64url')).toHaveLength(32)
    expect(Buffer.from(request.header.serverData, 'base64url')).toHaveLength(64)
    expect(tokenDigestOf(request.header.serverData)).toBe(TOKEN_DIGEST)
    seen.add(request.challenge).add(request.header.serverData)
  }
  expect(seen.size).toBe(2000)
})

test('N17, N25: creates a valid UAF 1.1 request for any user and any transaction', () => {
  const username = fc.string({ unit: codePoint, minLength: 1, maxLength: 128 })
  const ascii = fc.uint8Array({ minLength: 1, maxLength: 200, max: 0x7f })
  const transaction = fc.array(
    fc.oneof(
      ascii.map((content) => ({ ...text, content })),
      fc.uint8Array({ minLength: 1 }).map((content) => ({ ...image, content })),
    ),
    { minLength: 1 },
  )
  const details = fc.oneof(
    username.map((name) => ({ operation: 'registration', appId, username: name, policy: DEFAULT_POLICY }) as const),
    fc
      .option(transaction, { nil: undefined })
      .map((shown) => ({ operation: 'authentication', appId, policy: DEFAULT_POLICY, transaction: shown }) as const),
    fc.constant({ operation: 'deregistration', appId, authenticators: ALL_KEYS } as const),
  )
  fc.assert(
    fc.property(details, (asked) => {
      const [request] = uafRequestText.parse(create(asked, unpredictable))
      if (asked.operation === 'registration') {
        expect(request).toMatchObject({ header: { op: 'Reg' }, username: asked.username })
      } else if (asked.operation === 'authentication') {
        const shown = 'transaction' in request ? request.transaction : undefined
        expect(shown?.map(({ content }) => Buffer.from(content, 'base64url').toString('hex'))).toEqual(
          asked.transaction?.map(({ content }) => Buffer.from(content).toString('hex')),
        )
      } else expect(request).toMatchObject({ header: { op: 'Dereg' } })
    }),
  )
})

test('N25: copies the username of a context into the request', () => {
  const context = readContext('registration', '{"username":"jeff"}', new Set())
  if (!context) throw new Error('a context was refused')
  const details = { ...context, appId, policy: DEFAULT_POLICY }
  const [request] = uafRequestText.parse(create(details))
  expect(request).toMatchObject({ username: 'jeff', policy: DEFAULT_POLICY })
})

describe('DEFAULT_POLICY', () => {
  const [[criteria] = []] = DEFAULT_POLICY.accepted

  test('N25: requires one authenticator of any kind in the default policy, with no more criteria than the specification demands', () => {
    expect(DEFAULT_POLICY.accepted.map((alternative) => alternative.length)).toEqual([1])
    expect(Object.keys(criteria ?? {}).sort()).toEqual(['assertionSchemes', 'authenticationAlgorithms'])
  })

  test('N25: lists the algorithms that can be verified and the scheme of UAF 1.1 in the default policy', () => {
    expect(criteria?.authenticationAlgorithms).toEqual([1, 2, 3, 4, 5, 6, 8, 9])
    expect(criteria?.assertionSchemes).toEqual(['UAFV1TLV'])
  })
})

describe('the UAF schema of the tests', () => {
  const [valid] = JSON.parse(create({ operation: 'registration', appId, username: 'jeff', policy }))
  const [auth] = JSON.parse(create({ operation: 'authentication', appId, policy, transaction: [text] }))
  const [dereg] = JSON.parse(create({ operation: 'deregistration', appId, authenticators: ALL_KEYS }))
  const withCriteria = (criteria: object) => ({ ...valid, policy: { accepted: [[criteria]] } })
  test.each<[string, unknown]>([
    ['two requests for one version', [valid, valid]],
    ['no request', []],
    ['a request outside an array', valid],
    ['another version', [{ ...valid, header: { ...valid.header, upv: { major: 1, minor: 0 } } }]],
    ['an operation that is not the one of its members', [{ ...valid, header: { ...valid.header, op: 'Auth' } }]],
    ['no server data', [{ ...valid, header: { ...valid.header, serverData: '' } }]],
    ['a challenge of 7 bytes', [{ ...valid, challenge: Buffer.alloc(7).toString('base64url') }]],
    ['a challenge of 65 bytes', [{ ...valid, challenge: Buffer.alloc(65).toString('base64url') }]],
    ['a challenge with padding', [{ ...valid, challenge: Buffer.alloc(32).toString('base64') }]],
    ['129 characters of username', [{ ...valid, username: 'j'.repeat(129) }]],
    ['a policy that accepts nothing', [{ ...valid, policy: { accepted: [] } }]],
    ['criteria without AAID and algorithms', [withCriteria({ userVerification: 1023 })]],
    ['empty criteria', [withCriteria({})]],
    ['an AAID beside algorithms', [withCriteria({ aaid: ['F1D0#0001'], authenticationAlgorithms: [1] })]],
    ['a transaction beside a registration', [{ ...valid, transaction: auth.transaction }]],
    ['a PNG without characteristics', [{ ...auth, transaction: [{ contentType: 'image/png', content: '-_8' }] }]],
    ['a text that is not ASCII', [{ ...auth, transaction: [{ contentType: 'text/plain', content: 'w7w' }] }]],
    ['a challenge beside a deregistration', [{ ...dereg, challenge: valid.challenge }]],
    ['no authenticators', [{ ...dereg, authenticators: [] }]],
    ['a key without AAID', [{ ...dereg, authenticators: [{ aaid: '', keyID: valid.challenge }] }]],
  ])('rejects a request with %s, in the schema that the tests use', (_, request) => {
    expect(uafRequestText.safeParse(JSON.stringify(request)).success).toBe(false)
  })
})
