import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../../src/app/start-trimint.ts'
import { latest } from '../../../support/development.ts'
import { ACCOUNT } from '../../../support/idscan.ts'
import { KEY } from '../../../support/service.ts'
import {
  chooseOutcomes,
  getJourney,
  logIn,
  resetAll,
  startStandIns,
  uploadJourney,
} from '../../../support/stand-ins.ts'

const folder = mkdtempSync(join(tmpdir(), 'trimint-fixtures-'))
const service = await startStandIns({
  configuration: { idscan: { accounts: [ACCOUNT], standIns: true, fixtures: folder } },
})
const scanning = await logIn(service, 'scanning')
const investigation = await logIn(service, 'investigation')
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})
beforeEach(() => resetAll(service))

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const UNKNOWN = '00000000-0000-4000-8000-00000000abcd'
const read = ({ body }: { readonly body: string }) => JSON.parse(body)
const getDefinitions = (token = investigation) =>
  service.request('/idscanenterprisesvc/JourneyDefinition/GetAll?ChannelType=Web', {
    headers: { authorization: token },
  })

describe('S10: the token', () => {
  test('needs the area scanning for an upload, and investigation for the rest', async () => {
    expect((await uploadJourney(service, scanning)).status).toBe(200)
    expect((await uploadJourney(service, investigation)).status).toBe(403)
    expect((await getJourney(service, scanning, UNKNOWN)).status).toBe(403)
    const refused = await getDefinitions(scanning)
    expect({ status: refused.status, body: read(refused) }).toEqual({
      status: 403,
      body: { Message: 'The token is for another area.' },
    })
    expect(await latest(service)).toMatchObject({
      contract: 'idscan',
      reason: 'wrong_area',
      operation: 'investigation',
    })
  })

  test.each([
    ['a raw header', () => ({ authorization: scanning })],
    ['Bearer', () => ({ authorization: `Bearer ${scanning}` })],
    ['a cookie', () => ({ cookie: `token=${scanning}` })],
  ])('is accepted as %s', async (_form, headers) => {
    expect((await uploadJourney(service, '', {}, { headers: headers() })).status).toBe(200)
  })

  test('is checked before the body is read', async () => {
    expect((await uploadJourney(service, 'no.such.token', Buffer.alloc(11 * 1024 * 1024))).status).toBe(401)
  })

  test('is 401 where it is missing or has expired', async () => {
    const token = await logIn(service, 'scanning')
    await service.trimint.clock.advance('11h')
    for (const headers of [{}, { authorization: token }]) {
      const reply = await uploadJourney(service, '', {}, { headers: headers as Record<string, string> })
      expect({ status: reply.status, body: read(reply) }).toEqual({
        status: 401,
        body: { Message: 'Authorization has been denied for this request.' },
      })
    }
  })
})

describe('S11: an upload', () => {
  test('returns a journey with a new JourneyId', async () => {
    const ids = new Set<string>()
    for (let i = 0; i < 3; i += 1) {
      const reply = await uploadJourney(service, scanning, { AdditionalData: [{ Name: 'BranchCode', Value: '0042' }] })
      expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json;charset=UTF-8' } })
      const journey = read(reply)
      expect(journey).toMatchObject({ JourneyId: expect.stringMatching(GUID), HighLevelResult: 'Passed' })
      expect(journey.ProcessedDocuments).toHaveLength(1)
      ids.add(journey.JourneyId)
    }
    expect(ids.size).toBe(3)
  })

  test('continues the journey that PersonEntryId names', async () => {
    const { JourneyId } = read(await uploadJourney(service, scanning))
    const next = read(await uploadJourney(service, scanning, { PersonEntryId: JourneyId.toUpperCase() }))
    expect(next.JourneyId).toBe(JourneyId)
    expect(next.ProcessedDocuments).toHaveLength(2)
    const other = read(await uploadJourney(service, scanning, { PersonEntryId: UNKNOWN }))
    expect(other.JourneyId).not.toBe(UNKNOWN)
  })

  test('continues a journey with at most 20 documents', async () => {
    const { JourneyId } = read(await uploadJourney(service, scanning))
    const counts = []
    for (let i = 0; i < 20; i += 1) {
      counts.push(read(await uploadJourney(service, scanning, { PersonEntryId: JourneyId })).ProcessedDocuments.length)
    }
    expect(counts.slice(-3)).toEqual([19, 20, 20])
  })

  test.each([
    ['text', 'a journey'],
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['broken UTF-8', Buffer.from('{"a":"\xff"}', 'latin1')],
    ['JSON of 200 levels', `{"a":${'['.repeat(200)}${']'.repeat(200)}}`],
    ['JSON of a million levels', `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`],
  ])('of %s is 400', async (_what, body) => {
    const reply = await uploadJourney(service, scanning, body)
    expect({ status: reply.status, body: read(reply) }).toEqual({
      status: 400,
      body: { Message: expect.stringContaining('expected') },
    })
  })

  test('over 10 MiB is 413, and one of nearly that size is taken', async () => {
    const image = (length: number) => `{"InputImages":[{"Name":"WhiteImage","Data":"${'A'.repeat(length)}"}]}`
    const large = await uploadJourney(service, scanning, image(10 * 1024 * 1024))
    expect({ status: large.status, body: read(large) }).toEqual({ status: 413, body: { Message: expect.any(String) } })
    const reply = await uploadJourney(service, scanning, image(10_000_000))
    expect(reply.status).toBe(200)
    expect((await latest(service)).body).toMatch(/^\[\d+ bytes\]$/)
  })

  test.each(['/IDScanEnterpriseSvc/Journey/Upload', '/idscanEnterpriseSVC/journey/UPLOAD/'])(
    'is served at %s',
    async (path) => {
      const reply = await service.request(path, { method: 'POST', headers: { authorization: scanning }, body: '{}' })
      expect(reply.status).toBe(200)
    },
  )

  test('is read under any Content-Type', async () => {
    const headers = { authorization: scanning, 'content-type': 'text/plain' }
    expect((await uploadJourney(service, '', '\ufeff{}', { headers })).status).toBe(200)
  })

  test('drops the oldest journeys beyond 32 MiB together', async () => {
    const body = JSON.stringify({ Data: 'A'.repeat(9_000_000) })
    const ids: string[] = []
    for (let i = 0; i < 4; i += 1) ids.push(read(await uploadJourney(service, scanning, body)).JourneyId)
    const statuses = await Promise.all(ids.map(async (id) => (await getJourney(service, investigation, id)).status))
    expect(statuses).toEqual([404, 200, 200, 200])
  })
})

describe('S12: a journey', () => {
  test('is as it was uploaded, with its outcome', async () => {
    const uploaded = {
      AdditionalData: [{ Name: 'a', Value: null }],
      InputImages: [{ Name: 'WhiteImage', Data: 'AA==' }],
    }
    const journey = read(await uploadJourney(service, scanning, uploaded))
    const reply = await getJourney(service, investigation, journey.JourneyId)
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json;charset=UTF-8' } })
    expect(read(reply)).toEqual(journey)
    expect(read(reply)).toMatchObject({ ...uploaded, HighLevelResult: 'Passed' })
  })

  test.each([
    ['/idscanenterprisesvc/Journey/Get?journeyid=', (id: string) => id.toUpperCase()],
    ['/IDSCANENTERPRISESVC/journey/get/?JOURNEYID=', (id: string) => `{${id}}`],
  ])('is found at %s', async (path, write) => {
    const { JourneyId } = read(await uploadJourney(service, scanning))
    const headers = { authorization: investigation }
    const reply = await service.request(path + encodeURIComponent(write(JourneyId)), { headers })
    expect(read(reply).JourneyId).toBe(JourneyId)
  })

  test('is forgotten by a reset', async () => {
    const { JourneyId } = read(await uploadJourney(service, scanning))
    await service.trimint.reset({ only: ['outcomes'] })
    expect((await getJourney(service, investigation, JourneyId)).status).toBe(200)
    await service.trimint.reset({ only: ['standIns'] })
    expect((await getJourney(service, investigation, JourneyId)).status).toBe(404)
  })

  test('is 404 where it is unknown, and 400 without a GUID', async () => {
    const unknown = await getJourney(service, investigation, UNKNOWN)
    expect({ status: unknown.status, body: read(unknown) }).toEqual({
      status: 404,
      body: { Message: 'There is no journey with this JourneyID.' },
    })
    for (const id of ['', '1', '../../etc/passwd', `${UNKNOWN}0`]) {
      expect((await getJourney(service, investigation, encodeURIComponent(id))).status).toBe(400)
    }
    const missing = await service.request('/idscanenterprisesvc/journey/get', {
      headers: { authorization: investigation },
    })
    expect({ status: missing.status, body: read(missing) }).toEqual({
      status: 400,
      body: { Message: expect.stringContaining('GUID') },
    })
  })
})

test('S13: returns one definition by default', async () => {
  const reply = await getDefinitions()
  expect(reply.status).toBe(200)
  expect(read(reply)).toEqual([
    expect.objectContaining({ JourneyDefinitionId: expect.stringMatching(GUID), IsActive: true }),
  ])
})

describe('S14: the fixtures', () => {
  const write = (name: string, content: string) => writeFileSync(join(folder, name), content)
  beforeEach(() => {
    for (const name of ['journey.json', 'definitions.json', `${UNKNOWN}.json`])
      rmSync(join(folder, name), { force: true })
  })

  test('extend every journey, and are read again when they change', async () => {
    write('journey.json', '{"HighLevelResult":"Refer","RequiredAction":"BACKSIDE","HighLevelResultDetails":null}')
    const journey = read(await uploadJourney(service, scanning))
    expect(journey).toMatchObject({ HighLevelResult: 'Refer', RequiredAction: 'BACKSIDE' })
    expect(journey).not.toHaveProperty('HighLevelResultDetails')
    write('journey.json', '{"RequiredAction":"NONE"}')
    expect(read(await getJourney(service, investigation, journey.JourneyId))).toMatchObject({
      HighLevelResult: 'Passed',
      RequiredAction: 'NONE',
    })
  })

  test('replace the definitions', async () => {
    write('definitions.json', '[{"Name":"Mine"}]')
    expect(read(await getDefinitions())).toEqual([{ Name: 'Mine' }])
  })

  test('have journeys of their own, by id', async () => {
    write('journey.json', '{"HighLevelResult":"Refer","RequiredAction":"NONE"}')
    write(`${UNKNOWN}.json`, '{"HighLevelResult":"Expired"}')
    expect(read(await getJourney(service, investigation, UNKNOWN.toUpperCase()))).toEqual({
      JourneyId: UNKNOWN,
      HighLevelResult: 'Expired',
      RequiredAction: 'NONE',
    })
  })

  test('extend the one journey that a file names, after its outcome, which comes after journey.json', async () => {
    write('journey.json', '{"HighLevelResult":"Refer"}')
    await chooseOutcomes(service, { idscan: { journey: ['Undefined'] } })
    const journey = read(await uploadJourney(service, scanning))
    expect(journey.HighLevelResult).toBe('Undefined')
    const own = `${journey.JourneyId}.json`
    // Editors on Windows begin UTF-8 with a byte order mark.
    write(own, '\ufeff{"HighLevelResult":"Expired"}')
    const retrieved = read(await getJourney(service, investigation, journey.JourneyId))
    expect(retrieved).toEqual({ ...journey, HighLevelResult: 'Expired' })
    rmSync(join(folder, own))
  })

  test.each([
    ['broken JSON', '{'],
    ['a list', '[]'],
    ['null', 'null'],
    ['100,000 levels', `{"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  ])('that are unusable are 503 with the name of the file: %s', async (_what, content) => {
    write('journey.json', content)
    const reply = await uploadJourney(service, scanning)
    expect({ status: reply.status, body: read(reply) }).toEqual({
      status: 503,
      body: { Message: expect.stringContaining('journey.json in idscan.fixtures') },
    })
  })

  test('that are no list cannot be definitions', async () => {
    write('definitions.json', '{}')
    expect((await getDefinitions()).status).toBe(503)
  })

  test('are in a folder relative to the configuration file, also when the configuration is patched', async () => {
    const configFile = join(folder, 'trimint.yaml')
    const sections = [
      'publicUrl: http://127.0.0.1:8080',
      'store: "sqlite::memory:"',
      `keys: [{ secret: ${KEY} }]`,
      'control: true',
      'idscan: { accounts: [], standIns: true, fixtures: ./documents }',
    ]
    mkdirSync(join(folder, 'documents'))
    writeFileSync(configFile, sections.join('\n'))
    await using trimint = await startTrimint({ configFile })
    expect((await trimint.configure({ idscan: { requireArea: true } })).changed).toEqual(['idscan.requireArea'])
  })
})
