import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { decodeBase64url } from '../../../../src/core/uaf/base64url.ts'
import { foldFacet, verifyFinalChallenge } from '../../../../src/core/uaf/final-challenge.ts'
import { readAsmStatusCode, readUafResponse, readValid, requiresExtension } from '../../../../src/core/uaf/response.ts'
import { APP_ID, buildResponse, CHALLENGE, encodeFcParams, FACET } from '../../../support/uaf/assertions.ts'

const valid = buildResponse({ op: 'Reg', assertions: [Buffer.from('x')] })
const { header } = valid

describe('U10', () => {
  test('U10: reads a response, and ignores members that it does not know', () => {
    expect(readUafResponse(JSON.stringify([{ ...valid, more: 1 }]))).toEqual(valid)
  })

  test('U10: reads 16 assertions', () => {
    const response = { ...valid, assertions: Array(16).fill(valid.assertions[0]) }
    expect(readUafResponse(JSON.stringify([response]))).toEqual(response)
  })

  test.each<[string, unknown]>([
    ['no array', valid],
    ['no response', []],
    ['two responses', [valid, valid]],
    ['no header', [{ ...valid, header: undefined }]],
    ['a version that is not a number', [{ ...valid, header: { ...header, upv: { major: '1', minor: 1 } } }]],
    ['no operation', [{ ...valid, header: { ...header, op: undefined } }]],
    ['an empty appID', [{ ...valid, header: { ...header, appID: '' } }]],
    ['513 characters of appID', [{ ...valid, header: { ...header, appID: 'a'.repeat(513) } }]],
    ['empty serverData', [{ ...valid, header: { ...header, serverData: '' } }]],
    ['1537 characters of serverData', [{ ...valid, header: { ...header, serverData: 'a'.repeat(1537) } }]],
    ['fcParams that are no string', [{ ...valid, fcParams: {} }]],
    ['assertions that are no list', [{ ...valid, assertions: {} }]],
    ['an assertion that is no string', [{ ...valid, assertions: [{ assertionScheme: 'x', assertion: 1 }] }]],
    ['17 assertions', [{ ...valid, assertions: Array(17).fill(valid.assertions[0]) }]],
    ['null', null],
  ])('U10: rejects %s', (_, response) => {
    expect(readUafResponse(JSON.stringify(response))).toBeUndefined()
  })

  test('U10: rejects text that is not JSON, and any other JSON', () => {
    expect(readUafResponse('[')).toBeUndefined()
    fc.assert(fc.property(fc.json(), (json) => readUafResponse(json) === undefined))
  })
})

test('U14, U17: finds an extension that must be understood', () => {
  expect(requiresExtension(undefined)).toBe(false)
  expect(requiresExtension(null)).toBe(false)
  expect(requiresExtension([{ fail_if_unknown: false }, { fail_if_unknown: undefined }])).toBe(false)
  expect(requiresExtension([{ fail_if_unknown: false }, { fail_if_unknown: true }])).toBe(true)
})

test.each([
  [undefined, undefined],
  ['{"asmStatusCode":6}', 6],
  ['{"asmStatusCode":"6"}', undefined],
  ['{"asmStatusCode":0.5}', undefined],
  ['6', undefined],
  ['{', undefined],
])('U16: reads the context %s: %s', (context, code) => {
  expect(readAsmStatusCode(context)).toBe(code)
})

describe('U15', () => {
  const expected = { appId: APP_ID, challenge: CHALLENGE, facets: new Set([FACET, 'android:apk-key-hash:Ab']) }
  const verify = (fcParams: string) => () => verifyFinalChallenge(fcParams, expected)

  test('U15: accepts web origins in any case and with a slash, and other facets exactly', () => {
    for (const facetID of [FACET, 'HTTPS://FIDO.example.com/', 'android:apk-key-hash:Ab']) {
      expect(verify(encodeFcParams({ facetID }))).not.toThrow()
    }
    expect(verify(encodeFcParams({ facetID: 'android:apk-key-hash:ab' }))).toThrow('unknown_facet')
    expect(verify(encodeFcParams({ facetID: `${FACET}//` }))).toThrow('unknown_facet')
    expect(verify(encodeFcParams({ facetID: `${FACET}/path` }))).toThrow('unknown_facet')
  })

  test.each([
    ['https://A.example.com', 'https://a.example.com'],
    ['HTTPS://A.example.com/', 'https://a.example.com'],
    ['https://A.example.com/Path', 'https://A.example.com/Path'],
    ['http://A/', 'http://A/'],
    ['ios:https://A', 'ios:https://A'],
  ])('U15: compares the facet %s as %s', (facet, folded) => {
    expect(foldFacet(facet)).toBe(folded)
  })

  test.each<[string, string, string]>([
    ['padding', `${encodeFcParams()}=`, 'bad_final_challenge'],
    ['other characters', '{}', 'bad_final_challenge'],
    [
      'bytes that are not UTF-8',
      Buffer.from(
        JSON.stringify({
          appID: APP_ID,
          challenge: CHALLENGE,
          facetID: FACET,
          channelBinding: { serverEndPoint: 'ÿ' },
        }),
        'latin1',
      ).toString('base64url'),
      'bad_final_challenge',
    ],
    ['text that is not JSON', Buffer.from('{').toString('base64url'), 'bad_final_challenge'],
    ['a list', Buffer.from('[]').toString('base64url'), 'bad_final_challenge'],
    ['another appID', encodeFcParams({ appID: 'https://other.example.com' }), 'bad_final_challenge'],
    ['no channel binding', encodeFcParams({ channelBinding: undefined }), 'bad_final_challenge'],
    ['a channel binding of numbers', encodeFcParams({ channelBinding: { cid_pubkey: 1 } }), 'bad_final_challenge'],
    ['another facet', encodeFcParams({ facetID: 'https://other.example.com' }), 'unknown_facet'],
    ['another challenge', encodeFcParams({ challenge: 'AAAA' }), 'wrong_challenge'],
  ])('U15: rejects %s', (_, fcParams, failure) => {
    expect(verify(fcParams)).toThrow(failure)
  })

  test('U15: passes over what a channel binding has', () => {
    expect(verify(encodeFcParams({ channelBinding: { serverEndPoint: 'x' } }))).not.toThrow()
  })
})

test('decodes base64url without padding alone', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes).toString('base64url')
      expect(decodeBase64url(text)?.equals(bytes)).toBe(true)
    }),
  )
  for (const text of ['QQ==', 'QR', 'Q', 'a+/a', 'QUI\n', ' QUI']) expect(decodeBase64url(text)).toBeUndefined()
})

test('stops at the first fault of a list, and reads none of the entries after it', () => {
  const unread = {
    get name(): string {
      throw new Error('was read')
    },
  }
  expect(readValid(z.array(z.object({ name: z.string() })), [{ name: 1 }, unread])).toBeUndefined()
})
