import { decodeJwt } from 'jose'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { BCID, CALLER } from '../../../support/bws.ts'
import { latest } from '../../../support/development.ts'
import { checkBws, revoke } from '../../../support/lifecycle.ts'
import { APP_SECRET, type RequestOptions } from '../../../support/service.ts'
import {
  bearer,
  chooseOutcomes,
  DATA_URL,
  enroll,
  issueToken,
  JPEG,
  logIn,
  PNG,
  perform,
  resetAll,
  startStandIns,
  upload,
} from '../../../support/stand-ins.ts'

const service = await startStandIns()
afterAll(() => service.close())
beforeEach(() => resetAll(service))

const VERIFY = `bcid=${BCID}`
const SUCCEEDED = { Success: true, Error: null }
const ACCEPTED = { Accepted: true, Error: null, Warnings: [] }
const TASKS = ['verify', 'enroll', 'identify', 'livenessdetection'] as const

const read = ({ body }: { readonly body: string }) => JSON.parse(body) as Record<string, unknown>
const failed = (error: string | null) => ({ Success: false, Error: error })

describe('S1: the token', () => {
  test.each(['Bearer', 'JWT', 'bearer'])('is accepted as %s, at / and at /extension', async (scheme) => {
    const headers = { authorization: `${scheme} ${await issueToken(service, VERIFY)}` }
    for (const path of ['/upload', '/extension/upload']) {
      const reply = await service.request(path, { method: 'POST', headers, body: DATA_URL })
      expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json; charset=utf-8' } })
      expect(read(reply)).toEqual(ACCEPTED)
    }
    expect((await service.request('/extension/verify', { headers })).status).toBe(200)
  })

  test('is 401 where it has expired, is altered, revoked, foreign or of another contract', async () => {
    const token = await issueToken(service, VERIFY)
    const revoked = await issueToken(service, VERIFY)
    await revoke(service, revoked)
    const refused = [
      `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
      revoked,
      await logIn(service, 'scanning'),
    ]
    for (const other of refused) expect((await upload(service, other)).status).toBe(401)
    await service.trimint.clock.advance('11m')
    const late = await upload(service, token)
    expect({ status: late.status, body: read(late) }).toEqual({ status: 401, body: { Message: 'Unauthorized' } })
    expect((await service.request('/verify', { headers: bearer(token) })).status).toBe(401)
  })

  test('is checked before the body is read, and a refusal is explained in the journal', async () => {
    const reply = await upload(service, 'no.such.token', { body: Buffer.alloc(11 * 1024 * 1024) })
    expect(reply.status).toBe(401)
    expect(await latest(service)).toMatchObject({ path: '/upload', contract: 'bws', reason: 'invalid_token' })
  })
})

describe('S2: an upload', () => {
  test.each([
    ['a data URL', DATA_URL],
    ['a data URL in quotes', JSON.stringify(DATA_URL)],
    ['the bytes of a PNG', PNG],
    ['the bytes of a JPEG', JPEG],
    ['a data URL of a JPEG', `data:image/jpeg;base64,${JPEG.toString('base64')}`],
  ])('accepts %s', async (_what, body) => {
    const reply = await upload(service, await issueToken(service, VERIFY), { body })
    expect({ status: reply.status, body: read(reply) }).toEqual({ status: 200, body: ACCEPTED })
  })

  test.each(['image/png', 'application/json', 'x-odd/type; a=b'])('takes %s as Content-Type', async (type) => {
    const headers = { ...bearer(await issueToken(service, VERIFY)), 'content-type': type }
    for (const body of [DATA_URL, PNG]) {
      expect(read(await service.request('/upload', { method: 'POST', headers, body }))).toEqual(ACCEPTED)
    }
  })

  test.each([
    ['nothing', ''],
    ['text', 'an image'],
    ['a GIF', Buffer.from('GIF89a')],
    ['an empty data URL', 'data:image/png;base64,'],
    ['a data URL without base64', 'data:image/png,abc'],
    ['a data URL with blanks', `${DATA_URL.slice(0, 60)} ${DATA_URL.slice(60)}`],
    ['a data URL of text', `data:text/plain;base64,${Buffer.from('text').toString('base64')}`],
  ])('rejects %s with 400', async (_what, body) => {
    const reply = await upload(service, await issueToken(service, VERIFY), { body })
    expect({ status: reply.status, body: read(reply) }).toEqual({ status: 400, body: { Message: expect.any(String) } })
    expect((await latest(service)).explanation).toBe(read(reply).Message)
  })

  const emptyPng = Buffer.from(PNG)
  emptyPng.writeUInt32BE(0, 16)
  test.each([
    ['a PNG', PNG],
    ['a JPEG', JPEG],
  ])('does not accept %s that is cut off anywhere behind its signature', async (_what, image) => {
    const token = await issueToken(service, VERIFY)
    for (let length = 8; length < image.length; length += 1) {
      const reply = await upload(service, token, { body: image.subarray(0, length) })
      expect(read(reply), `${length} bytes`).toEqual({ Accepted: false, Error: 'TruncatedImage', Warnings: [] })
    }
    const left = await service.request('/verify', { headers: bearer(token) })
    expect(left.status).toBe(400)
  })

  test('does not accept an image without pixels', async () => {
    const reply = await upload(service, await issueToken(service, VERIFY), { body: emptyPng })
    expect(read(reply)).toEqual({ Accepted: false, Error: 'EmptyImage', Warnings: [] })
  })

  test('is 413 over 10 MiB, and takes an image of nearly that size', async () => {
    const token = await issueToken(service, VERIFY)
    const reply = await upload(service, token, { body: Buffer.alloc(10 * 1024 * 1024 + 1) })
    expect({ status: reply.status, body: read(reply) }).toEqual({ status: 413, body: { Message: expect.any(String) } })
    // Behind IEND, PNG readers stop.
    const large = Buffer.concat([PNG, Buffer.alloc(10 * 1024 * 1024 - PNG.length)])
    expect(read(await upload(service, token, { body: large }))).toEqual(ACCEPTED)
    expect((await latest(service)).body).toBe(`[${large.length} bytes]`)
  })

  test.each(TASKS)('takes a token of task %s and uses no try', async (task) => {
    const token = await issueToken(service, `${VERIFY}&task=${task}&maxtries=1`)
    for (let i = 0; i < 3; i += 1) expect(read(await upload(service, token))).toEqual(ACCEPTED)
    expect((await checkBws(service, task, token)).headers['x-trimint-tries-left']).toBe('0')
  })

  test('does not keep more than 50 samples', async () => {
    const token = await issueToken(service, VERIFY)
    for (let i = 0; i < 50; i += 1) await upload(service, token)
    expect(read(await upload(service, token))).toEqual({ Accepted: false, Error: 'TooManySamples', Warnings: [] })
  })
})

describe('S3: tag, index and trait', () => {
  test.each(['tag=sideways', 'tag=up,sideways', 'index=first', 'index=-1', 'trait=Iris', 'tag=up&TAG=up'])(
    '%s is 400 and names the parameter',
    async (query) => {
      const reply = await upload(service, await issueToken(service, VERIFY), { query })
      expect(reply.status).toBe(400)
      expect(read(reply).Message).toContain(query.split('=')[0])
    },
  )

  test.each(['', 'tag=any', 'TAG=Up&Index=3', 'tag=up,left&trait=Face,%20Periocular', 'tag=&index=&trait=', 'x=1'])(
    '"%s" is accepted',
    async (query) => {
      expect(read(await upload(service, await issueToken(service, VERIFY), { query }))).toEqual(ACCEPTED)
    },
  )

  const opposite = { up: 'down', down: 'up', left: 'right', right: 'left' } as const
  type Direction = keyof typeof opposite
  async function issueChallenge(): Promise<{ token: string; rows: Direction[][] }> {
    await enroll(service, BCID)
    const token = await issueToken(service, `${VERIFY}&challenge=true`)
    return { token, rows: decodeJwt(token).challenge as Direction[][] }
  }

  test('the tags have to follow the row of the try under way', async () => {
    const { token, rows } = await issueChallenge()
    const [first = [], second = [], third = []] = rows
    expect(read(await perform(service, token, 'verify', ['any', ...first]))).toEqual(SUCCEEDED)
    const turned = second.map((direction) => opposite[direction])
    expect(read(await perform(service, token, 'verify', turned))).toEqual(failed('ChallengeResponseFailed'))
    expect(read(await perform(service, token, 'verify', ['', 'any', ...third]))).toEqual(SUCCEEDED)
  })

  test.each([
    ['no directions', () => ['any', 'any']],
    ['too few directions', (row: Direction[]) => row.slice(0, 2)],
    ['too many directions', (row: Direction[]) => [...row, ...row]],
  ])('%s fail', async (_what, tagsOf) => {
    const { token, rows } = await issueChallenge()
    const reply = await perform(service, token, 'verify', tagsOf(rows[0] ?? []))
    expect(read(reply)).toEqual(failed('ChallengeResponseFailed'))
  })

  test('the index sorts samples that were uploaded in another order', async () => {
    const { token, rows } = await issueChallenge()
    const numbered = (rows[0] ?? []).map((tag, index) => `tag=${tag}&index=${index}`)
    for (const query of numbered.reverse()) await upload(service, token, { query })
    expect(read(await service.request('/verify', { headers: bearer(token) }))).toEqual(SUCCEEDED)
  })

  test('the claim as text works too', async () => {
    await service.trimint.configure({ bws: { challengeClaim: 'string' } })
    const token = await issueToken(service, `${VERIFY}&task=livenessdetection&challenge=true`)
    const [row = []] = JSON.parse(String(decodeJwt(token).challenge)) as string[][]
    expect(read(await perform(service, token, 'livenessdetection', row))).toEqual(SUCCEEDED)
  })
})

describe('S4: an operation', () => {
  test.each(TASKS)('%s takes the token of its own task alone', async (operation) => {
    await enroll(service, BCID)
    for (const task of TASKS) {
      const reply = await perform(service, await issueToken(service, `${VERIFY}&task=${task}`), operation)
      expect({ task, status: reply.status }).toEqual({ task, status: task === operation ? 200 : 403 })
    }
  })

  test('needs samples, and two of them with liveness detection', async () => {
    await enroll(service, BCID)
    const live = await issueToken(service, VERIFY)
    expect((await perform(service, live, 'verify', [])).status).toBe(400)
    expect(read(await perform(service, live, 'verify', ['any']))).toEqual(failed('NotEnoughSamples'))
    expect(read(await perform(service, live, 'verify'))).toEqual(SUCCEEDED)
    const still = await issueToken(service, `${VERIFY}&livedetection=false`)
    expect((await perform(service, still, 'verify', [])).status).toBe(400)
    expect(read(await perform(service, still, 'verify', ['any']))).toEqual(SUCCEEDED)
  })

  test('uses the samples up, counts a try as a gateway does, and is 403 after the last', async () => {
    await enroll(service, BCID)
    const token = await issueToken(service, VERIFY)
    expect(read(await perform(service, token, 'verify'))).toEqual(SUCCEEDED)
    expect((await checkBws(service, 'verify', token)).headers['x-trimint-tries-left']).toBe('1')
    expect((await service.request('/verify', { headers: bearer(token) })).status).toBe(400)
    const last = await perform(service, token, 'verify')
    expect({ status: last.status, body: read(last) }).toEqual({
      status: 403,
      body: { Message: 'The tries of the token are used up.' },
    })
    expect(await latest(service)).toMatchObject({ outcome: 'refused', reason: 'tries_used_up', operation: 'verify' })
  })

  test('is 400 for an invalid parameter, which counts a try', async () => {
    const token = await issueToken(service, VERIFY)
    const statuses = []
    for (const query of ['livedetection=perhaps', 'maxResults=0', 'maxresults=-1', '']) {
      statuses.push((await service.request(`/verify?${query}`, { headers: bearer(token) })).status)
    }
    expect(statuses).toEqual([400, 400, 400, 403])
  })

  test('identify returns 20 matches, or maxResults in any case', async () => {
    for (let id = 1; id <= 22; id += 1) await enroll(service, `bws.112.${id}`)
    const token = await issueToken(service, `${VERIFY}&task=identify`)
    const count = async (query: string) => {
      for (let i = 0; i < 2; i += 1) await upload(service, token)
      const reply = await service.request(`/identify${query}`, { headers: bearer(token) })
      return (read(reply).Matches as unknown[]).length
    }
    expect([await count(''), await count('?maxResults=3'), await count('?MAXRESULTS=21')]).toEqual([20, 3, 21])
  })
})

describe('S5: the reply', () => {
  test.each([
    'LiveDetectionFailed',
    'ChallengeResponseFailed',
    'NoTemplateAvailable',
    'NotEnoughSamples',
    'ExecutionOfJobTimedOut',
  ])('has the code %s', async (code) => {
    await enroll(service, BCID)
    await chooseOutcomes(service, { bws: { verify: [code] } })
    expect(read(await perform(service, await issueToken(service, VERIFY), 'verify'))).toEqual(failed(code))
  })

  test('has no code where a person is not recognised', async () => {
    await chooseOutcomes(service, { bws: { verify: 'NotRecognized' } })
    expect(read(await perform(service, await issueToken(service, VERIFY), 'verify'))).toEqual(failed(null))
  })

  test('of an identification has matches, the best first', async () => {
    for (const bcid of ['bws.112.7', 'bws.112.-8', 'bws.113.9', 'other.112.10']) await enroll(service, bcid)
    const reply = await perform(service, await issueToken(service, 'bcid=bws.112.7&task=identify'), 'identify')
    const { Success, Error: error, Matches } = read(reply) as { Success: boolean; Error: null; Matches: Match[] }
    interface Match {
      readonly Score: number
    }
    expect({ Success, error }).toEqual({ Success: true, error: null })
    expect(Matches).toEqual([
      { Score: expect.any(Number), Storage: 'bws', Partition: 112, ClassID: 7 },
      { Score: expect.any(Number), Storage: 'bws', Partition: 112, ClassID: -8 },
    ])
    const scores = Matches.map(({ Score }) => Score)
    expect(scores).toEqual(scores.toSorted((a, b) => b - a))
    expect(scores.every((score) => score > 0 && score < 1)).toBe(true)
  })
})

test('S6: livedetection on a call tightens what the token says, and never loosens it', async () => {
  await enroll(service, BCID)
  const still = await issueToken(service, `${VERIFY}&livedetection=false`)
  await upload(service, still)
  const tight = await service.request('/verify?livedetection=TRUE', { headers: bearer(still) })
  expect(read(tight)).toEqual(failed('NotEnoughSamples'))
  const live = await issueToken(service, VERIFY)
  await upload(service, live)
  const loose = await service.request('/verify?livedetection=false', { headers: bearer(live) })
  expect(read(loose)).toEqual(failed('NotEnoughSamples'))
})

describe('S7: the result', () => {
  const result = (token: string, as: RequestOptions['as'] = CALLER) =>
    service.request(`/result?access_token=${token}`, { as })

  test.each([
    ['verify', 'verification'],
    ['enroll', 'enrollment'],
    ['livenessdetection', 'livenessdetection'],
  ])('of %s has the action %s; before, it is 204', async (task, Action) => {
    await enroll(service, 'bws.112.7')
    const token = await issueToken(service, `bcid=bws.112.7&task=${task}`)
    await upload(service, token)
    expect(await result(token)).toMatchObject({ status: 204, body: '' })
    await perform(service, token, task)
    const reply = await result(token)
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json; charset=utf-8' } })
    expect(read(reply)).toEqual({ Action, BCID: 'bws/112/7', Success: true, Error: null })
  })

  test('of an identification has the class 0 and matches with BCID and Score', async () => {
    await enroll(service, 'bws.112.7')
    const token = await issueToken(service, 'bcid=bws.112.7&task=identify')
    await perform(service, token, 'identify')
    expect(read(await result(token))).toEqual({
      Action: 'identification',
      BCID: 'bws/112/0',
      Success: true,
      Error: null,
      Matches: [{ BCID: 'bws/112/7', Score: expect.any(Number) }],
    })
  })

  test('is that of the last operation, and outlives the token', async () => {
    const token = await issueToken(service, 'bcid=bws.112.7')
    await perform(service, token, 'verify', ['any'])
    await perform(service, token, 'verify')
    await service.trimint.clock.advance('1h')
    expect(read(await result(token))).toMatchObject({ Success: false, Error: 'NoTemplateAvailable' })
  })

  test('is for the app that asked for the token', async () => {
    const token = await issueToken(service, VERIFY)
    expect(await result(token, { id: 'app-2', secret: APP_SECRET })).toMatchObject({ status: 403 })
    expect(await latest(service)).toMatchObject({
      contract: 'bws',
      outcome: 'refused',
      explanation: 'The token was issued to another app.',
    })
    const wrong = await result(token, { id: CALLER.id, secret: 'wrong-secret' })
    expect(wrong).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.stringMatching(/^Basic/) } })
    expect(await latest(service)).toMatchObject({ reason: 'bad_secret', explanation: expect.any(String) })
    expect((await service.request(`/result?access_token=${token}`, { headers: bearer(token) })).status).toBe(401)
  })

  test.each(['', '?access_token=', '?access_token=no.such.token'])('is 400 for "%s"', async (query) => {
    const reply = await service.request(`/result${query}`, { as: CALLER })
    expect({ status: reply.status, body: read(reply) }).toEqual({ status: 400, body: { Message: expect.any(String) } })
  })
})

describe('S8: enrolled classes', () => {
  test('verify of a class that never enrolled is NoTemplateAvailable', async () => {
    expect(read(await perform(service, await issueToken(service, VERIFY), 'verify'))).toEqual(
      failed('NoTemplateAvailable'),
    )
    await enroll(service, BCID)
    expect(read(await perform(service, await issueToken(service, VERIFY), 'verify'))).toEqual(SUCCEEDED)
    await resetAll(service)
    expect(read(await perform(service, await issueToken(service, VERIFY), 'verify'))).toEqual(
      failed('NoTemplateAvailable'),
    )
  })

  test('identify without any is NoTemplateAvailable', async () => {
    const reply = await perform(service, await issueToken(service, `${VERIFY}&task=identify`), 'identify')
    expect(read(reply)).toEqual({ Success: false, Matches: [], Error: 'NoTemplateAvailable' })
  })

  test('a failed enrolment enrolls nothing', async () => {
    await chooseOutcomes(service, { bws: { enroll: ['LiveDetectionFailed'] } })
    const token = await issueToken(service, `${VERIFY}&task=enroll`)
    expect(read(await perform(service, token, 'enroll'))).toEqual(failed('LiveDetectionFailed'))
    expect(read(await perform(service, await issueToken(service, VERIFY), 'verify'))).toEqual(
      failed('NoTemplateAvailable'),
    )
  })

  test.each([true, false])('a successful verification with autoenroll=%s', async (autoenroll) => {
    await chooseOutcomes(service, { bws: { verify: ['success'] } })
    const token = await issueToken(service, `${VERIFY}&autoenroll=${autoenroll}`)
    expect(read(await perform(service, token, 'verify'))).toEqual(SUCCEEDED)
    const later = read(await perform(service, await issueToken(service, VERIFY), 'verify'))
    expect(later).toEqual(autoenroll ? SUCCEEDED : failed('NoTemplateAvailable'))
  })

  test('a liveness detection needs none', async () => {
    const token = await issueToken(service, 'task=livenessdetection')
    expect(read(await perform(service, token, 'livenessdetection'))).toEqual(SUCCEEDED)
  })
})

describe('S9: CORS', () => {
  const page = { origin: 'https://app.example.com' }
  const preflight = {
    method: 'OPTIONS',
    headers: { ...page, 'access-control-request-headers': 'authorization,content-type' },
  }

  test.each(['/upload', '/extension/upload', '/verify', '/enroll', '/identify', '/extension/livenessdetection'])(
    '%s answers any origin, in replies, errors and preflights',
    async (path) => {
      const method = path.endsWith('upload') ? 'POST' : 'GET'
      expect(await service.request(path, preflight)).toMatchObject({
        status: 204,
        body: '',
        headers: {
          'access-control-allow-origin': '*',
          'access-control-allow-methods': method,
          'access-control-allow-headers': 'authorization,content-type',
        },
      })
      const refused = await service.request(path, { method, headers: page })
      expect(refused).toMatchObject({ status: 401, headers: { 'access-control-allow-origin': '*' } })
      const headers = { ...page, ...bearer(await issueToken(service, VERIFY)) }
      const answered = await service.request(path, { method, headers })
      expect(answered.headers['access-control-allow-origin']).toBe('*')
    },
  )

  test('every origin may read other errors too', async () => {
    await service.trimint.faults.add({ match: { operation: 'verify' }, then: { reason: 'token_expired' } })
    const token = await issueToken(service, VERIFY)
    const replies = [
      await service.request('/verify', { headers: { ...page, ...bearer(token) } }),
      await upload(service, token, { body: Buffer.alloc(10 * 1024 * 1024 + 1) }),
      await service.request('/upload', { method: 'PUT', headers: page }),
    ]
    const seen = replies.map(({ status, headers }) => [status, headers['access-control-allow-origin']])
    expect(seen).toEqual([401, 413, 405].map((status) => [status, '*']))
  })

  test.each(['/result', '/token', '/extension/result'])('%s has none', async (path) => {
    for (const options of [{ headers: page }, { headers: page, as: CALLER }, preflight]) {
      const names = Object.keys((await service.request(path, options)).headers)
      expect(names.filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })
})
