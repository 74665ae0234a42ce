import { afterAll, describe, expect, test } from 'vitest'
import { BCID, CALLER, claimsOf, getToken, messageOf, QUERY } from '../../support/bws.ts'
import { APP, APP_SECRET, basic, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const service = await startService({
  configuration: {
    bws: {
      apps: [
        APP,
        { ...APP, id: 'limited', bcids: ['bws/112', 'other.-3'], tasks: ['verify', 'livenessdetection'] },
        { ...APP, id: 'colon', secret: 'plain:a:b:c' },
        { ...APP, id: 'ünï', secret: 'plain:pässwörd' },
      ],
    },
  },
})
afterAll(() => service.close())

const limited = { id: 'limited', secret: APP_SECRET }

describe('path and method', () => {
  test.each(['/token', '/extension/token'])('B1: issues a token at %s', async (path) => {
    const reply = await service.request(`${path}?${QUERY}`, { as: CALLER })
    expect(reply.status).toBe(200)
  })

  test.each(['/Token', '/TOKEN', '/token/', '/extension', '/extension/Token', '/bws/token', '/token/x'])(
    'B1: returns 404 at %s',
    async (path) => {
      const reply = await service.request(`${path}?${QUERY}`, { as: CALLER })
      expect(reply.status).toBe(404)
      expect(JSON.parse(reply.body)).toEqual({ error: 'not_found', error_description: expect.any(String) })
    },
  )

  test('B2: answers HEAD as GET, without the body', async () => {
    const reply = await getToken(service, QUERY, { method: 'HEAD' })
    expect(reply).toMatchObject({ status: 200, body: '' })
    expect(reply.headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
    expect(Number(reply.headers['content-length'])).toBeGreaterThan(300)
  })

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE', 'QUERY'])(
    'B2: rejects %s with 405 before it checks credentials',
    async (method) => {
      for (const path of ['/token', '/extension/token']) {
        const reply = await service.request(path, { method })
        expect(reply.status).toBe(405)
        expect(reply.headers).toMatchObject({
          allow: 'GET, HEAD',
          'content-type': expect.stringMatching(/^application\/json\b/),
        })
        expect(messageOf(reply)).toMatch(/GET/)
      }
    },
  )

  test('B2: rejects POST with 405, whatever its body', async () => {
    for (const contentType of ['application/json', 'text/plain', 'multipart/form-data', 'x/y']) {
      const headers = { 'content-type': contentType }
      const reply = await service.request('/token', { method: 'POST', headers, body: '{"broken' })
      expect(reply.status).toBe(405)
    }
  })
})

describe('authentication', () => {
  const encode = (text: string) => Buffer.from(text).toString('base64')
  const good = encode(`${CALLER.id}:${CALLER.secret}`)

  test.each(['Basic', 'basic', 'BASIC', 'bAsIc'])('B3: accepts the scheme %s', async (scheme) => {
    const reply = await service.request(`/token?${QUERY}`, { headers: { authorization: `${scheme} ${good}` } })
    expect(reply.status).toBe(200)
  })

  test('B3: splits credentials at the first colon, and accepts + / = : in secrets', async () => {
    expect((await getToken(service, QUERY)).status).toBe(200)
    const reply = await getToken(service, `id=colon&bcid=${BCID}`, { as: { id: 'colon', secret: 'a:b:c' } })
    expect(claimsOf(reply).app).toBe('colon')
  })

  test('B3: reads ids and secrets as UTF-8', async () => {
    const query = `id=${encodeURIComponent('ünï')}&bcid=${BCID}`
    const reply = await getToken(service, query, { as: { id: 'ünï', secret: 'pässwörd' } })
    expect(claimsOf(reply).app).toBe('ünï')
  })

  const refused: [name: string, authorization: string | undefined, reason: string][] = [
    ['no header', undefined, 'missing_authorization'],
    ['an empty header', '', 'missing_authorization'],
    ['another scheme', `Bearer ${good}`, 'malformed_authorization'],
    ['no credentials', 'Basic', 'malformed_authorization'],
    ['credentials that are not base64', 'Basic ***', 'malformed_authorization'],
    ['no colon', `Basic ${encode('app-1')}`, 'malformed_authorization'],
    ['a control character', `Basic ${encode(`app-1:${APP_SECRET}\0`)}`, 'malformed_authorization'],
    ['two sets of credentials', `Basic ${good}, Basic ${good}`, 'malformed_authorization'],
    ['an unknown app', basic('nobody', APP_SECRET), 'unknown_app'],
    ['an id in another case', basic('APP-1', APP_SECRET), 'unknown_app'],
    ['a wrong secret', basic('app-1', 'a wrong secret 5a1c'), 'bad_secret'],
    ['an empty secret', basic('app-1', ''), 'bad_secret'],
    ['a secret in another case', basic('app-1', APP_SECRET.toUpperCase()), 'bad_secret'],
    ['a secret with a trailing space', basic('app-1', `${APP_SECRET} `), 'bad_secret'],
    ["the secret's digest", basic('app-1', 'sha256:00'), 'bad_secret'],
    ['an id that every object has as a property', basic('__proto__', 'x'), 'unknown_app'],
  ]

  test.each(refused)('B3: returns 401 for %s, and logs the reason', async (_name, authorization, reason) => {
    const reply = await service.request(
      `/token?${QUERY}`,
      authorization === undefined ? {} : { headers: { authorization } },
    )
    expect(reply.status).toBe(401)
    expect(service.log.at(-1)).toMatchObject({ event: 'token.refused', contract: 'bws', reason })
  })

  test('B3: accepts each of two secrets until its notAfter', async () => {
    const clock = createFrozenClock(Date.UTC(2026, 0, 1) - 1)
    const secrets = [{ secret: 'plain:the old secret', notAfter: '2026-01-01' }, { secret: 'plain:the new secret' }]
    const apps = [{ id: 'app-1', bcids: '*' as const, secrets }]
    await using service = await startService({ clock, configuration: { bws: { apps } } })
    const status = async (secret: string) => (await getToken(service, QUERY, { as: { id: 'app-1', secret } })).status
    expect([await status('the old secret'), await status('the new secret')]).toEqual([200, 200])
    clock.advance(1)
    expect([await status('the old secret'), await status('the new secret')]).toEqual([401, 200])
  })

  test('B3: checks credentials before parameters', async () => {
    const reply = await service.request('/token?maxtries=99', { as: { id: 'app-1', secret: 'a wrong secret 5a1c' } })
    expect(reply.status).toBe(401)
  })
})

describe('parameters', () => {
  interface Case {
    readonly row: string
    readonly what: string
    readonly query: string
    /** The expected claims. */
    readonly claims: Record<string, unknown>
  }
  const served: Case[] = [
    { row: 'B4', what: 'names in any case', query: `ID=app-1&BcId=${BCID}&MAXTRIES=5`, claims: { task: 261 } },
    { row: 'B4', what: 'any order', query: `maxtries=5&bcid=${BCID}&id=app-1`, claims: { task: 261 } },
    {
      row: 'B4',
      what: 'unknown names',
      query: `${QUERY}&foo=1&false&trait=face&&=&=x`,
      claims: { task: 259, traits: 3 },
    },
    { row: 'B4', what: 'a known name without =', query: `${QUERY}&challenge&maxtries&traits`, claims: { task: 259 } },
    { row: 'B4', what: 'encoded names', query: `%69d=app-1&bci%64=${BCID}`, claims: { app: 'app-1' } },
    {
      row: 'B4',
      what: 'invalid encoding in unknown parameters',
      query: `${QUERY}&x=%zz&%zz=1&y=%ff`,
      claims: { task: 259 },
    },
    {
      row: 'B4',
      what: 'names that every object has as properties',
      query: `${QUERY}&__proto__=x&constructor=y`,
      claims: { task: 259 },
    },
    {
      row: 'B4',
      what: 'names that only look like known ones',
      query: `${QUERY}&tas%E2%84%AA=enroll`,
      claims: { task: 259 },
    },
    { row: 'B5', what: 'an unknown name twice', query: `${QUERY}&x=1&x=2`, claims: { task: 259 } },
    {
      row: 'B5',
      what: 'a name twice, once without =',
      query: `${QUERY}&challenge&challenge=true`,
      claims: { task: 771 },
    },
    { row: 'B6', what: 'the id of the caller', query: QUERY, claims: { app: 'app-1' } },
    { row: 'B7', what: 'dots', query: 'id=app-1&bcid=bws.112.12345', claims: { bcid: 'bws/112/12345' } },
    { row: 'B7', what: 'slashes', query: 'id=app-1&bcid=bws/112/12345', claims: { bcid: 'bws/112/12345' } },
    { row: 'B7', what: '%2F', query: 'id=app-1&bcid=bws%2F112%2f12345', claims: { bcid: 'bws/112/12345' } },
    { row: 'B7', what: 'mixed separators', query: 'id=app-1&bcid=bws.112/12345', claims: { bcid: 'bws/112/12345' } },
    { row: 'B7', what: 'negative class ids', query: 'id=app-1&bcid=bws.112.-77', claims: { bcid: 'bws/112/-77' } },
    { row: 'B7', what: 'leading zeros', query: 'id=app-1&bcid=bws.007.-007', claims: { bcid: 'bws/7/-7' } },
    { row: 'B7', what: 'minus zero', query: 'id=app-1&bcid=bws.-0.0', claims: { bcid: 'bws/0/0' } },
    {
      row: 'B7',
      what: 'the smallest numbers',
      query: 'id=app-1&bcid=b.-2147483648.-2147483648',
      claims: { bcid: 'b/-2147483648/-2147483648' },
    },
    {
      row: 'B7',
      what: 'the largest numbers',
      query: 'id=app-1&bcid=b.2147483647.2147483647',
      claims: { bcid: 'b/2147483647/2147483647' },
    },
    { row: 'B7', what: 'every storage character', query: 'id=app-1&bcid=aZ09_-.1.2', claims: { bcid: 'aZ09_-/1/2' } },
    { row: 'B9', what: 'no bcid', query: 'id=app-1&task=livenessdetection', claims: { bcid: '' } },
    { row: 'B9', what: 'an empty bcid', query: 'id=app-1&task=livenessdetection&bcid=', claims: { bcid: '' } },
    { row: 'B9', what: 'bcid=xxx', query: 'id=app-1&task=livenessdetection&bcid=xxx', claims: { bcid: '' } },
    { row: 'B9', what: 'a bcid', query: 'id=app-1&task=livenessdetection&bcid=bws.1.2', claims: { bcid: 'bws/1/2' } },
    { row: 'B10', what: 'verify', query: `${QUERY}&task=verify`, claims: { task: 259 } },
    { row: 'B10', what: 'identify', query: `${QUERY}&task=identify`, claims: { task: 275 } },
    { row: 'B10', what: 'enroll', query: `${QUERY}&task=enroll`, claims: { task: 291 } },
    { row: 'B10', what: 'livenessdetection', query: `${QUERY}&task=livenessdetection`, claims: { task: 387 } },
    { row: 'B11', what: 'maxtries 1', query: `${QUERY}&maxtries=1`, claims: { task: 257 } },
    { row: 'B11', what: 'maxtries 15', query: `${QUERY}&maxtries=15`, claims: { task: 271 } },
    { row: 'B11', what: 'leading zeros', query: `${QUERY}&maxtries=000005`, claims: { task: 261 } },
    { row: 'B12', what: 'liveness detection switched off', query: `${QUERY}&livedetection=false`, claims: { task: 3 } },
    {
      row: 'B12',
      what: 'livedetection=false, and ignores it for livenessdetection',
      query: `${QUERY}&livedetection=false&task=livenessdetection`,
      claims: { task: 387 },
    },
    {
      row: 'B13',
      what: 'challenge, and ignores it without liveness detection',
      query: `${QUERY}&livedetection=false&challenge=true`,
      claims: { task: 3 },
    },
    { row: 'B13', what: 'challenges without a challenge', query: `${QUERY}&challenges=5`, claims: { task: 259 } },
    { row: 'B15', what: 'autoenroll with verify', query: `${QUERY}&autoenroll=true`, claims: { task: 4355 } },
    {
      row: 'B15',
      what: 'autoenroll, and ignores it for other tasks',
      query: `${QUERY}&autoenroll=true&task=enroll`,
      claims: { task: 291 },
    },
    { row: 'B16', what: 'a request without traits', query: QUERY, claims: { traits: 3 } },
    { row: 'B16', what: 'traits in any case', query: `${QUERY}&traits=vOICE`, claims: { traits: 4 } },
    {
      row: 'B16',
      what: 'spaces around traits',
      query: `${QUERY}&traits=%20%20Face%20%20,+Voice+`,
      claims: { traits: 5 },
    },
    { row: 'B16', what: 'all traits', query: `${QUERY}&traits=face,periocular,voice`, claims: { traits: 7 } },
    { row: 'B16', what: 'a trait twice', query: `${QUERY}&traits=Face,Face`, claims: { traits: 1 } },
    {
      row: 'B17',
      what: 'any case',
      query: `${QUERY}&challenge=TRUE&livedetection=True&autoenroll=False`,
      claims: { task: 771 },
    },
  ]

  test.each(served)('$row: accepts $what ($query)', async ({ query, claims }) => {
    const reply = await getToken(service, query)
    expect(reply).toMatchObject({ status: 200 })
    expect(claimsOf(reply)).toMatchObject(claims)
    expect('challenge' in claimsOf(reply)).toBe((Number(claimsOf(reply).task) & 0x200) !== 0)
  })

  test.each([2, 7, '007'])('B14: issues challenge rows of %s movements', async (length) => {
    const reply = await getToken(service, `${QUERY}&challenge=true&challenges=${length}`)
    const { challenge } = claimsOf(reply) as { challenge: string[][] }
    expect(challenge.map((row) => row.length)).toEqual([Number(length), Number(length), Number(length)])
  })

  interface Refusal {
    readonly row: string
    readonly query: string
    /** The parameters that the message must name. */
    readonly names: string[]
    readonly allowed?: RegExp
  }
  const refused: Refusal[] = [
    { row: 'B4', query: `${QUERY}&maxtries=`, names: ['maxtries'], allowed: /1 to 15/ },
    { row: 'B4', query: `${QUERY}&task=`, names: ['task'] },
    { row: 'B4', query: `${QUERY}&traits=`, names: ['traits'] },
    { row: 'B4', query: `${QUERY}&challenge=`, names: ['challenge'] },
    { row: 'B4', query: `id=&bcid=${BCID}`, names: ['id'], allowed: /App-ID/ },
    { row: 'B4', query: 'id=app-1&bcid=', names: ['bcid'] },
    ...['id=%ff', `id=app-1&bcid=${BCID}&task=veri%c3`, `id=app-1&bcid=bws.112.%ff`, 'id=a%zz%ff'].map((query) => ({
      row: 'B4',
      query: query.includes('bcid') ? query : `${query}&bcid=${BCID}`,
      names: [/(?:^|&)(\w+)=[^&]*%(?:ff|c3)/.exec(query)?.[1] ?? ''],
      allowed: /valid UTF-8/,
    })),
    { row: 'B5', query: `${QUERY}&id=app-1`, names: ['id'], allowed: /only once/ },
    { row: 'B5', query: `${QUERY}&ID=app-1`, names: ['id'], allowed: /only once/ },
    { row: 'B5', query: `${QUERY}&traits=Face&traits=Voice`, names: ['traits'], allowed: /only once/ },
    {
      row: 'B5',
      query: `${QUERY}&challenge=true&Challenge=true&CHALLENGE=`,
      names: ['challenge'],
      allowed: /only once/,
    },
    { row: 'B6', query: `bcid=${BCID}`, names: ['id'], allowed: /App-ID/ },
    ...['verify', 'identify', 'enroll'].flatMap((task) =>
      ['', '&bcid=', '&bcid=xxx'].map((bcid) => ({
        row: 'B7',
        query: `id=app-1&task=${task}${bcid}`,
        names: ['bcid'],
      })),
    ),
    { row: 'B7', query: 'id=app-1', names: ['bcid'], allowed: /storage\.partition\.classid/ },
    ...[
      'bws',
      'bws.112',
      'bws.112.1.2',
      'bws.112.',
      '.112.1',
      'bws..1',
      'b s.1.2',
      'büs.1.2',
      'bws.a.1',
      'bws.1.a',
      'bws.1.1.5',
      'bws.2147483648.1',
      'bws.1.-2147483649',
      'bws.1.%2B5',
      'bws.1.+5',
      'bws.--1.1',
      'bws.1.1e3',
      'bws.1.0x1',
      'bws:1:2',
      'bws%5C1%5C2',
      ' bws.1.2',
      'bws.1.2%0A',
      '%zz.1.2',
      'bws.1.1%00',
      `bws.1.${'9'.repeat(400)}`,
    ].map((bcid) => ({
      row: 'B7',
      query: `id=app-1&bcid=${bcid.replaceAll(' ', '%20').replace('ü', '%C3%BC')}`,
      names: ['bcid'],
    })),
    ...['Verify', 'VERIFY', 'liveness', 'livedetection', 'toString', 'verify,enroll', '%20verify'].map((task) => ({
      row: 'B10',
      query: `${QUERY}&task=${task}`,
      names: ['task'],
      allowed: /verify, identify, enroll, livenessdetection/,
    })),
    ...['0', '16', '-1', '%2B3', '3.0', '1e1', '0x3', 'abc', '000', '1%202', '%2015', '١', '9'.repeat(400)].map(
      (maxtries) => ({
        row: 'B11',
        query: `${QUERY}&maxtries=${encodeURI(maxtries).replaceAll('%25', '%')}`,
        names: ['maxtries'],
        allowed: /1 to 15/,
      }),
    ),
    { row: 'B12', query: `${QUERY}&task=livenessdetection&livedetection=maybe`, names: ['livedetection'] },
    ...['1', '8', '0', '-2', 'x', '2.5'].map((challenges) => ({
      row: 'B14',
      query: `${QUERY}&challenges=${challenges}`,
      names: ['challenges'],
      allowed: /2 to 7/,
    })),
    { row: 'B15', query: `${QUERY}&autoenroll=on`, names: ['autoenroll'], allowed: /true or false/ },
    ...['Nose', 'Face,', ',Face', 'Face,,Voice', 'Face;Voice', 'Face Voice', 'Peri ocular', '%20', 'constructor'].map(
      (traits) => ({
        row: 'B16',
        query: `${QUERY}&traits=${traits.replaceAll(' ', '%20')}`,
        names: ['traits'],
        allowed: /Face, Periocular, Voice/,
      }),
    ),
    ...['1', '0', 'yes', 'on', '%20true', 'true%20', 'tru'].map((challenge) => ({
      row: 'B17',
      query: `${QUERY}&challenge=${challenge}`,
      names: ['challenge'],
      allowed: /true or false/,
    })),
    {
      row: 'B20',
      query: 'maxtries=0&task=x&bcid=y&traits=z&challenges=1',
      names: ['id', 'bcid', 'task', 'maxtries', 'challenges', 'traits'],
    },
  ]

  test.each(refused)('$row: rejects $query, naming $names', async ({ query, names, allowed = /./ }) => {
    const reply = await getToken(service, query)
    expect(reply.status).toBe(400)
    for (const name of names) expect(messageOf(reply)).toMatch(new RegExp(`\\b${name} must be `))
    expect(messageOf(reply)).toMatch(allowed)
    expect(messageOf(reply).match(/ must be /g)).toHaveLength(names.length)
    expect((service.log.at(-1) as { parameters: string[] }).parameters.toSorted()).toEqual(names.toSorted())
  })
})

describe('permissions of an app', () => {
  test('B6, B36: reports a foreign id before a forbidden task and partition', async () => {
    const reply = await getToken(service, 'id=app-1&bcid=no.1.1&task=enroll', { as: limited })
    expect(messageOf(reply)).toMatch(/App-ID/)
    expect(service.log.at(-1)).toMatchObject({ reason: 'foreign_id' })
  })

  const forbidden: [row: string, query: string, reason: string][] = [
    ['B6', `id=limited&bcid=${BCID}`, 'foreign_id'],
    ['B6', `id=nobody&bcid=${BCID}`, 'foreign_id'],
    ['B6', `id=App-1&bcid=${BCID}`, 'foreign_id'],
  ]
  test.each(forbidden)('%s: returns 403 for %s', async (_row, query, reason) => {
    const reply = await getToken(service, query)
    expect(reply.status).toBe(403)
    expect(messageOf(reply)).toMatch(/App-ID/)
    expect(service.log.at(-1)).toMatchObject({ reason, app: 'app-1' })
  })

  test.each(['bws.112.1', 'bws/112/-9', 'other.-3.1', 'other.-003.1'])(
    'B8: accepts %s in the partitions of the app',
    async (bcid) => {
      expect((await getToken(service, `id=limited&bcid=${bcid}`, { as: limited })).status).toBe(200)
    },
  )

  test.each(['bws.113.1', 'BWS.112.1', 'other.3.1', 'more.112.1'])(
    'B8: returns 403 for %s outside the partitions of the app',
    async (bcid) => {
      const reply = await getToken(service, `id=limited&bcid=${bcid}`, { as: limited })
      expect(reply.status).toBe(403)
      expect(messageOf(reply)).toMatch(/storage and partition/)
      expect(service.log.at(-1)).toMatchObject({ reason: 'bcid_not_allowed', app: 'limited' })
    },
  )

  test('B9: returns 403 for a liveness detection with a bcid of another partition', async () => {
    const reply = await getToken(service, 'id=limited&bcid=bws.113.1&task=livenessdetection', { as: limited })
    expect(reply.status).toBe(403)
  })

  test('B9: accepts a liveness detection without a bcid, whatever the partitions', async () => {
    const reply = await getToken(service, 'id=limited&task=livenessdetection', { as: limited })
    expect(reply.status).toBe(200)
  })

  test('B10: returns 403 for a task that the app may not use', async () => {
    const reply = await getToken(service, `id=limited&bcid=${BCID}&task=enroll`, { as: limited })
    expect(reply.status).toBe(403)
    expect(messageOf(reply)).toMatch(/task/)
    expect(service.log.at(-1)).toMatchObject({ reason: 'task_not_allowed', app: 'limited' })
  })

  const order: [what: string, method: string, secret: string, query: string, status: number][] = [
    ['checks the method before credentials', 'POST', 'a wrong secret 5a1c', 'maxtries=99', 405],
    ['checks credentials before parameters', 'GET', 'a wrong secret 5a1c', 'maxtries=99', 401],
    ['checks parameters before the id', 'GET', APP_SECRET, `id=app-1&bcid=${BCID}&maxtries=99`, 400],
    ['checks parameters before the task', 'GET', APP_SECRET, 'id=limited&bcid=x&task=enroll', 400],
    ['checks parameters before the partition', 'GET', APP_SECRET, 'id=limited&bcid=no.1.1&traits=x', 400],
    ['rejects a request with nothing wrong but the id', 'GET', APP_SECRET, `id=app-1&bcid=${BCID}`, 403],
  ]
  test.each(order)('B36: %s', async (_what, method, secret, query, status) => {
    const reply = await getToken(service, query, { method, as: { id: 'limited', secret } })
    expect(reply.status).toBe(status)
  })

  const negotiation = [
    { accept: 'application/json' },
    { accept: 'image/png;q=1, */*;q=0' },
    { accept: 'not a media type' },
    { 'content-type': 'application/json' },
    { 'content-type': 'nonsense' },
    { 'content-type': 'application/x-www-form-urlencoded; charset=utf-16' },
  ]
  test.each(negotiation)('B18: ignores %o', async (headers) => {
    const reply = await getToken(service, QUERY, { headers })
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' } })
  })
})
