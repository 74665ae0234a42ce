import { afterAll, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../../src/app/start-trimint.ts'
import { startDevelopment } from '../../../support/development.ts'
import { ACCOUNT } from '../../../support/idscan.ts'
import { APP, KEY, startService } from '../../../support/service.ts'
import { startStandIns } from '../../../support/stand-ins.ts'

// Where stand-ins are served.

const PATHS = [
  ['POST', '/upload'],
  ['GET', '/verify'],
  ['GET', '/enroll'],
  ['GET', '/identify'],
  ['GET', '/livenessdetection'],
  ['GET', '/result'],
  ['POST', '/extension/upload'],
  ['GET', '/extension/verify'],
  ['GET', '/extension/result'],
  ['POST', '/idscanenterprisesvc/journey/upload'],
  ['GET', '/IDScanEnterpriseSvc/Journey/Get'],
  ['GET', '/idscanenterprisesvc/JourneyDefinition/GetAll/'],
] as const

const service = await startStandIns()
const services = [await startDevelopment(), await startService()]
afterAll(() => Promise.all([service, ...services].map((each) => each.close())))

describe.each(PATHS)('%s %s', (method, path) => {
  test('S1, S10: is 404 without standIns, with and without the control API', async () => {
    for (const without of services) expect((await without.request(path, { method })).status).toBe(404)
  })

  test('S1, S10: is 401 with standIns and without a token, in the vendor’s words', async () => {
    const { status, body, headers } = await service.request(path, { method })
    expect(status).toBe(401)
    expect(JSON.parse(body)).toEqual({ Message: expect.any(String) })
    expect(headers['www-authenticate']).toMatch(/^(Bearer|Basic)/)
  })

  test('S1, S10: is 405 for another method, with Allow', async () => {
    const { status, body, headers } = await service.request(path, { method: 'PATCH' })
    expect({ status, allow: String(headers.allow).split(', ')[0] }).toEqual({ status: 405, allow: method })
    expect(JSON.parse(body)).toEqual({ Message: expect.stringContaining(method) })
  })
})

test('S1: a change of standIns takes effect with the configuration', async () => {
  await service.trimint.configure({ bws: { standIns: false } })
  expect((await service.request('/verify')).status).toBe(404)
  expect((await service.request('/idscanenterprisesvc/journey/get')).status).toBe(401)
  await service.trimint.reset({ only: ['configuration'] })
  expect((await service.request('/verify')).status).toBe(401)
})

describe('S1, S10: is a fault of the configuration', () => {
  const bws = { apps: [{ ...APP, secret: `sha256:${'ab'.repeat(32)}` }], standIns: true }
  const idscan = { accounts: [], standIns: true }
  const given = { publicUrl: 'https://tokens.example.com', store: 'sqlite::memory:', keys: [{ secret: KEY }] }

  test.each([
    ['in production', { ...given, bws }, true, 'bws.standIns: stand-ins in production'],
    ['in production, for IDscan', { ...given, idscan }, true, 'idscan.standIns: stand-ins in production'],
    ['without the control API', { ...given, bws }, false, 'bws.standIns: stand-ins without the control API'],
    [
      'with a folder that does not exist (S14)',
      { ...given, control: true, idscan: { accounts: [ACCOUNT], fixtures: '/nowhere/at/all' } },
      false,
      'idscan.fixtures: no such folder',
    ],
  ])('%s', async (_where, configuration, production, message) => {
    await expect(startTrimint({ configuration, production })).rejects.toThrow(message)
  })
})

test('S1: the demo has the stand-ins', async () => {
  await using trimint = await startTrimint()
  expect((await fetch(`${trimint.url}/verify`)).status).toBe(401)
  expect((await fetch(`${trimint.url}/idscanenterprisesvc/Journey/Get`)).status).toBe(401)
})
