import fc from 'fast-check'
import { CALLER } from '../bws.ts'
import { basic } from '../service.ts'
import { DATA_URL, JPEG, PNG } from '../stand-ins.ts'
import { pathOf } from './conformance.ts'
import type { Answer, FuzzRequest } from './http.ts'
import { type Draft, FUZZED, HOST, JSON_IN, token } from './requests.ts'

/** The stand-ins of both vendors beside every contract. */
export const STAND_INS = {
  ...FUZZED,
  control: true as const,
  bws: { ...FUZZED.bws, standIns: true },
  idscan: { ...FUZZED.idscan, standIns: true },
}

const PREFIX = fc.constantFrom('', '/extension')
const bwsToken = token('bws')
const idscanToken = token('idscan')

const query = (values: Record<string, string | undefined>): string =>
  new URLSearchParams(
    Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined),
  ).toString()

const optional = (...values: string[]) => fc.constantFrom(undefined, ...values)

const upload = fc
  .record({
    prefix: PREFIX,
    token: bwsToken,
    scheme: fc.constantFrom('Bearer', 'JWT'),
    body: fc.constantFrom(DATA_URL, JSON.stringify(DATA_URL), PNG.toString('latin1'), JPEG.toString('latin1'), 'x', ''),
    tag: optional('any', 'up', 'left,down', ''),
    index: optional('1', '2', ''),
    trait: optional('Face', 'face, Voice'),
    chunked: fc.boolean(),
  })
  .map(
    ({ prefix, token, scheme, body, chunked, ...values }): Draft => ({
      method: 'POST',
      target: `${prefix}/upload?${query(values)}`,
      headers: [HOST, ['Content-Type', 'text/plain'], ['Authorization', `${scheme} ${token}`]],
      body,
      chunked,
    }),
  )

const operation = fc
  .record({
    prefix: PREFIX,
    path: fc.constantFrom('verify', 'enroll', 'identify', 'livenessdetection'),
    token: bwsToken,
    livedetection: optional('true', 'FALSE'),
    maxResults: optional('1', '20', '999999999'),
  })
  .map(
    ({ prefix, path, token, ...values }): Draft => ({
      method: 'GET',
      target: `${prefix}/${path}?${query(values)}`,
      headers: [HOST, ['Authorization', `Bearer ${token}`]],
    }),
  )

const result = fc.tuple(PREFIX, bwsToken).map(
  ([prefix, token]): Draft => ({
    method: 'GET',
    target: `${prefix}/result?access_token=${token}`,
    headers: [HOST, ['Authorization', basic(CALLER.id, CALLER.secret)]],
  }),
)

const journey = fc.record({ AdditionalData: fc.jsonValue({ maxDepth: 3 }), PersonEntryId: fc.option(fc.uuid()) })

const uploadJourney = fc.tuple(idscanToken, journey, fc.boolean()).map(
  ([token, body, chunked]): Draft => ({
    method: 'POST',
    target: '/idscanenterprisesvc/journey/upload',
    headers: [HOST, JSON_IN, ['Authorization', token]],
    body: JSON.stringify(body),
    chunked,
  }),
)

const retrieve = fc.tuple(idscanToken, fc.uuid()).map(
  ([token, id]): Draft => ({
    method: 'GET',
    target: `/idscanenterprisesvc/Journey/Get?JourneyID=${id}`,
    headers: [HOST, ['Authorization', token]],
  }),
)

const definitions = idscanToken.map(
  (token): Draft => ({
    method: 'GET',
    target: '/idscanenterprisesvc/JourneyDefinition/GetAll?channeltype=web',
    headers: [HOST, ['Authorization', token]],
  }),
)

/** Generates a request for any stand-in, as its clients send it. */
export const standInDrafts = fc.oneof(
  { weight: 4, arbitrary: upload },
  { weight: 4, arbitrary: operation },
  { weight: 1, arbitrary: result },
  { weight: 2, arbitrary: uploadJourney },
  { weight: 1, arbitrary: retrieve },
  { weight: 1, arbitrary: definitions },
)

const BWS_PATH = /^(?:\/extension)?\/(?:upload|verify|enroll|identify|livenessdetection|result)$/
const IDSCAN_PATH = /^\/idscanenterprisesvc\/(?:journey\/(?:upload|get)|journeydefinition\/getall)\/?$/i

/** The statuses of docs/contracts/stand-ins.md. The path of IDscan in another case with encoded letters is 404. */
const STATUSES = [200, 204, 400, 401, 403, 404, 405, 413]

/** Returns how an answer differs from the contract page; undefined for other paths. */
export function faultsOfStandIn({ method, target }: FuzzRequest, answer: Answer): string[] | undefined {
  const path = pathOf(target) ?? ''
  const isBws = BWS_PATH.test(path)
  // Read as the token's path is (I1).
  const raw = target.replace(/^https?:\/\/[^/]*/i, '').replace(/\?.*$/s, '')
  if (!isBws && !IDSCAN_PATH.test(path) && !IDSCAN_PATH.test(raw)) return undefined
  const { status, headers, body } = answer
  if (!STATUSES.includes(status)) return [`status ${status} of a stand-in`]
  if (status === 204 || method === 'HEAD') return body.length === 0 ? [] : [`a body with ${status}`]
  const [type] = headers.get('content-type') ?? []
  const expected = isBws ? 'application/json; charset=utf-8' : 'application/json;charset=UTF-8'
  if (type !== expected && status !== 404) return [`media type ${type} of a stand-in`]
  const json = JSON.parse(body.toString()) as Record<string, unknown>
  const isError = status !== 200 && !('Message' in json) && !('error' in json)
  return isError ? [`error ${body}`] : []
}
