import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../../src/app/start-trimint.ts'
import { BCID } from '../../../support/bws.ts'
import { control } from '../../../support/development.ts'
import { startService } from '../../../support/service.ts'
import {
  chooseOutcomes,
  enroll,
  issueToken,
  logIn,
  perform,
  resetAll,
  startStandIns,
  upload,
  uploadJourney,
} from '../../../support/stand-ins.ts'

const service = await startStandIns()
const scanning = { psc: await logIn(service, 'scanning'), other: await logIn(service, 'scanning', 'other') }
afterAll(() => service.close())
beforeEach(() => resetAll(service))

const read = ({ body }: { readonly body: string }) => JSON.parse(body)
const left = async () => read(await control(service, 'GET', '/outcomes'))

async function verify(bcid: string = BCID): Promise<string> {
  const { Success, Error: error } = read(await perform(service, await issueToken(service, `bcid=${bcid}`), 'verify'))
  return Success ? 'success' : String(error)
}

async function journey(account: keyof typeof scanning = 'psc'): Promise<string> {
  return read(await uploadJourney(service, scanning[account])).HighLevelResult
}

/** Returns an array in an array in an array. */
function nest(levels: number): unknown {
  return JSON.parse('['.repeat(levels) + ']'.repeat(levels))
}

describe('S15: a list of outcomes', () => {
  test('is worked off in order, then the default applies, and GET shows what is left', async () => {
    const chosen = { bws: { verify: ['LiveDetectionFailed', 'success'] }, idscan: { journey: ['Refer'] } }
    const reply = await chooseOutcomes(service, chosen)
    expect({ status: reply.status, body: read(reply) }).toEqual({ status: 200, body: { ...chosen, matched: [] } })
    expect(await verify()).toBe('LiveDetectionFailed')
    expect(await left()).toEqual({ ...chosen, bws: { verify: ['success'] }, matched: [] })
    expect([await verify(), await verify()]).toEqual(['success', 'NoTemplateAvailable'])
    expect([await journey(), await journey()]).toEqual(['Refer', 'Passed'])
    expect(await left()).toEqual({ bws: { verify: [] }, idscan: { journey: [] }, matched: [] })
  })

  test('is not worked off by attempts whose samples do not suffice', async () => {
    await enroll(service, BCID)
    await chooseOutcomes(service, { bws: { verify: ['NotRecognized'] } })
    const token = await issueToken(service, `bcid=${BCID}`)
    await perform(service, token, 'verify', ['any'])
    expect((await left()).bws.verify).toEqual(['NotRecognized'])
  })

  test('can choose why an upload is not accepted', async () => {
    await chooseOutcomes(service, { bws: { upload: ['NoFaceFound', 'success', 'MultipleFacesFound'] } })
    const token = await issueToken(service, `bcid=${BCID}`)
    const replies = []
    for (let i = 0; i < 4; i += 1) replies.push(read(await upload(service, token)).Error)
    expect(replies).toEqual(['NoFaceFound', null, 'MultipleFacesFound', null])
  })

  test('can choose members of a journey', async () => {
    const members = { HighLevelResult: 'Refer', RequiredAction: 'BACKSIDE' }
    await chooseOutcomes(service, { idscan: { journey: [members, 'success'] } })
    expect(read(await uploadJourney(service, scanning.psc))).toMatchObject(members)
    expect(await journey()).toBe('Passed')
  })
})

test('S15: text without a list is the outcome of every request', async () => {
  await chooseOutcomes(service, { bws: { verify: 'ExecutionOfJobTimedOut' }, idscan: { journey: 'Expired' } })
  expect([await verify(), await verify()]).toEqual(['ExecutionOfJobTimedOut', 'ExecutionOfJobTimedOut'])
  expect([await journey(), await journey()]).toEqual(['Expired', 'Expired'])
})

describe('S15: match', () => {
  test('limits outcomes to a bcid, and the set with more of them decides first', async () => {
    await chooseOutcomes(service, { bws: { verify: 'NotEnoughSamples' } })
    await chooseOutcomes(service, { match: { bcid: 'bws.112.7', app: 'app-1' }, bws: { verify: ['NotRecognized'] } })
    await chooseOutcomes(service, { match: { bcid: 'bws/112/7' }, bws: { verify: ['LiveDetectionFailed'] } })
    expect(await verify('bws.112.8')).toBe('NotEnoughSamples')
    expect([await verify('bws.112.7'), await verify('bws.112.7'), await verify('bws.112.7')]).toEqual([
      'null',
      'LiveDetectionFailed',
      'NotEnoughSamples',
    ])
    expect((await left()).matched).toEqual([
      { match: { bcid: 'bws/112/7', app: 'app-1' }, bws: { verify: [] } },
      { match: { bcid: 'bws/112/7' }, bws: { verify: [] } },
    ])
  })

  test('decides by the newer one of two sets with as many', async () => {
    for (const [match, outcome] of [
      [{ app: 'app-1' }, 'NotRecognized'],
      [{ bcid: BCID }, 'LiveDetectionFailed'],
      [{ app: 'app-1' }, 'NotEnoughSamples'],
    ] as const) {
      await chooseOutcomes(service, { match, bws: { verify: [outcome] } })
    }
    expect([await verify(), await verify()]).toEqual(['NotEnoughSamples', 'LiveDetectionFailed'])
  })

  test('limits outcomes of uploads too', async () => {
    const token = await issueToken(service, `bcid=${BCID}`)
    for (const match of [{ app: 'app-2' }, { app: 'app-1' }, { bcid: BCID }]) {
      await chooseOutcomes(service, { match, bws: { upload: [Object.values(match).join()] } })
    }
    const errors = []
    for (let i = 0; i < 3; i += 1) errors.push(read(await upload(service, token)).Error)
    expect(errors).toEqual([BCID, 'app-1', null])
  })

  test('limits outcomes to an app or an account', async () => {
    await chooseOutcomes(service, { match: { app: 'app-2' }, bws: { verify: 'NotRecognized' } })
    await chooseOutcomes(service, { match: { account: 'other' }, idscan: { journey: 'Refer' } })
    expect(await verify()).toBe('NoTemplateAvailable')
    expect([await journey('psc'), await journey('other')]).toEqual(['Passed', 'Refer'])
  })

  test('a set replaces the one with the same match', async () => {
    await chooseOutcomes(service, { match: { bcid: 'bws.112.7' }, bws: { verify: ['NotRecognized'] } })
    await chooseOutcomes(service, { match: { bcid: 'bws/112/7' }, bws: { enroll: ['NotEnoughSamples'] } })
    expect((await left()).matched).toEqual([{ match: { bcid: 'bws/112/7' }, bws: { enroll: ['NotEnoughSamples'] } }])
  })

  test('at most 100 sets are kept', async () => {
    for (let id = 1; id <= 100; id += 1) await chooseOutcomes(service, { match: { bcid: `bws.1.${id}` } })
    expect((await chooseOutcomes(service, { bws: {} })).status).toBe(409)
    expect((await chooseOutcomes(service, { match: { bcid: 'bws.1.1' } })).status).toBe(200)
  })
})

test.each([
  [{ bws: { verify: 'Perhaps' } }, /^bws\.verify: .*expected one of success, LiveDetectionFailed/],
  [{ bws: { verify: ['success', 1] } }, /^bws\.verify\[1\]: .*expected success/],
  [{ bws: { sleep: ['success'] } }, /^bws\.sleep: unknown/],
  [{ bws: { upload: [''] } }, /^bws\.upload\[0\]: /],
  [{ idscan: { journey: 7 } }, /^idscan\.journey: .*expected success, a HighLevelResult/],
  [{ match: { bcid: 'nobody' } }, /^match\.bcid: .*expected storage\.partition\.classid/],
  [{ match: { user: 'x' } }, /^match\.user: unknown/],
  [{ bws: { verify: Array(1_001).fill('success') } }, /^bws\.verify: /],
  [{ idscan: { journey: [{ deep: nest(101) }] } }, /levels deep$/],
  [{ idscan: { journey: { deep: nest(5_000) } } }, /levels deep$/],
])('S15: rejects invalid outcomes and says what is allowed: %#', async (body, message) => {
  const reply = await chooseOutcomes(service, body)
  expect(reply.status).toBe(400)
  expect(read(reply).error_description).toMatch(message)
  expect(await left()).toEqual({ bws: {}, idscan: {}, matched: [] })
})

describe('S15: clears the outcomes', () => {
  const NONE = { bws: {}, idscan: {}, matched: [] }
  beforeEach(() => chooseOutcomes(service, { bws: { verify: 'NotRecognized' } }))

  test('by DELETE', async () => {
    expect((await control(service, 'DELETE', '/outcomes')).status).toBe(204)
    expect(await left()).toEqual(NONE)
  })

  test.each([undefined, { only: ['outcomes'] }])('by a reset: %j', async (body) => {
    expect((await control(service, 'POST', '/reset', body)).status).toBe(204)
    expect(await left()).toEqual(NONE)
  })

  test('a reset of other parts keeps them', async () => {
    await control(service, 'POST', '/reset', { only: ['standIns'] })
    expect((await left()).bws).toEqual({ verify: 'NotRecognized' })
  })
})

test('S15: in process, trimint.outcomes chooses, lists and clears', async () => {
  const { outcomes } = service.trimint
  expect(await outcomes.set({ bws: { verify: ['NotRecognized', 'success'] } })).toEqual(outcomes.list())
  expect(await verify()).toBe('null')
  expect(outcomes.list().bws).toEqual({ verify: ['success'] })
  await expect(outcomes.set({ bws: { verify: ['Perhaps' as 'success'] } })).rejects.toThrow(/^bws\.verify\[0\]/)
  await outcomes.clear()
  expect(outcomes.list()).toEqual({ bws: {}, idscan: {}, matched: [] })
})

test('S15: two servers in one process have different outcomes', async () => {
  await using other = await startTrimint()
  await other.outcomes.set({ bws: { verify: 'NotRecognized' } })
  expect(service.trimint.outcomes.list()).toEqual({ bws: {}, idscan: {}, matched: [] })
})

test('S15: needs the control API', async () => {
  await using without = await startService()
  expect(() => without.trimint.outcomes.list()).toThrow('control: true')
})

test('S15: faults find the stand-ins by operation, and come before them', async () => {
  await service.trimint.faults.add({ match: { operation: 'upload' }, times: 1, then: { reason: 'token_expired' } })
  await service.trimint.faults.add({ match: { contract: 'idscan', operation: 'scanning' }, then: { status: 502 } })
  const token = await issueToken(service, `bcid=${BCID}`)
  expect((await upload(service, token)).status).toBe(401)
  expect((await upload(service, token)).status).toBe(200)
  expect((await uploadJourney(service, scanning.psc)).status).toBe(502)
})
