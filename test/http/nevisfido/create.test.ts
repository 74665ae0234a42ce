import { connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import { afterAll, describe, expect, test } from 'vitest'
import { trackSecret } from '../../support/leak-recorder.ts'
import {
  askStatus,
  bodyFor,
  CLIENT,
  codeOf,
  create,
  createToken,
  OPEN,
  OPERATIONS,
  redeem,
  UAF,
} from '../../support/nevisfido.ts'
import { basic, startService } from '../../support/service.ts'

const strong = { accepted: [[{ userVerification: 2, authenticationAlgorithms: [1], assertionSchemes: ['UAFV1TLV'] }]] }
const service = await startService({ configuration: { guard: false, nevisfido: { ...OPEN, policies: { strong } } } })
afterAll(() => service.close())

const CREATE = '/nevisfido/token/create/registration'
const TAKEN = { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' }

describe('path, method, media types', () => {
  test.each([
    'nothing',
    'Registration',
    'REGISTRATION',
    'registration/x',
    'reg',
    '',
    '%72egistratioN',
    'x'.repeat(500),
  ])('N2: there is no operation %s', async (operation) => {
    for (const method of ['POST', 'GET']) {
      const reply = await service.request(`/nevisfido/token/create/${operation}`, { method, headers: TAKEN })
      expect(reply.status).toBe(404)
    }
  })

  test.each(OPERATIONS)('N2: $operation, with a slash behind it or without', async ({ operation }) => {
    for (const slash of ['', '/']) {
      const reply = await service.request(`/nevisfido/token/create/${operation}${slash}`, {
        method: 'POST',
        headers: TAKEN,
        body: bodyFor(operation),
      })
      expect(codeOf(reply)).toBe(1200)
    }
  })

  test.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'N3: %s is 405, whatever the headers',
    async (method) => {
      for (const headers of [{}, TAKEN, { accept: 'text/html' }]) {
        expect(await service.request(CREATE, { method, headers })).toMatchObject({
          status: 405,
          body: '',
          headers: { allow: 'POST' },
        })
      }
    },
  )

  test.each([
    'application/fido+uaf;charset=UTF-8',
    'application/fido+uaf; charset=utf-8',
    'Application/FIDO+UAF ; Charset="UTF-8"',
    'application/fido+uaf;version=1;charset=utf-8',
  ])('N4: the Content-Type %s is taken', async (contentType) => {
    expect(codeOf(await create(service, 'registration', { headers: { 'content-type': contentType } }))).toBe(1200)
  })

  test.each([
    'application/fido+uaf',
    'application/fido+uaf;charset=iso-8859-1',
    'application/fido+uaf;charset=',
    'application/json;charset=UTF-8',
    'application/json',
    'text/plain;charset=UTF-8',
    'application/fido+uafx;charset=UTF-8',
    'nonsense',
    ';;;',
    ' ',
  ])('N4: the Content-Type %j is 415', async (contentType) => {
    expect(await create(service, 'registration', { headers: { 'content-type': contentType } })).toMatchObject({
      status: 415,
      body: '',
    })
  })

  test('N4: no Content-Type is 415', async () => {
    const headers = { accept: 'application/json' }
    expect(await service.request(CREATE, { method: 'POST', headers, body: '{}' })).toMatchObject({ status: 415 })
    expect(await service.request(CREATE, { method: 'POST', headers })).toMatchObject({ status: 415 })
  })

  test.each([
    'application/json',
    'Application/JSON',
    'text/html, application/json;q=0.1',
    'application/json; charset=utf-8',
    '*/*, application/json',
    ['text/html', 'application/json'],
  ])('N5: Accept %j names it', async (accept) => {
    expect(codeOf(await create(service, 'registration', { headers: { accept } }))).toBe(1200)
  })

  test.each([
    '*/*',
    'application/*',
    'text/html',
    'application/json;q=0',
    'application/jsonx',
    'json',
    '',
    ';;;',
    'application/fido+uaf',
  ])('N5: Accept %j is 406', async (accept) => {
    expect(await create(service, 'registration', { headers: { accept } })).toMatchObject({ status: 406, body: '' })
  })

  test('N5: no Accept is 406', async () => {
    const headers = { 'content-type': `${UAF};charset=UTF-8` }
    expect(await service.request(CREATE, { method: 'POST', headers, body: bodyFor('registration') })).toMatchObject({
      status: 406,
    })
  })

  test('N6: lenient serves absent and general Accept, and a missing charset, at all three', async () => {
    await using lenient = await startService({ configuration: { nevisfido: { ...OPEN, negotiation: 'lenient' } } })
    const ask = (path: string, type: string, body: string, accept?: string) =>
      lenient.request(path, { method: 'POST', body, headers: { 'content-type': type, ...(accept ? { accept } : {}) } })
    for (const accept of [undefined, '*/*', 'application/*', 'text/html, */*;q=0.1']) {
      expect((await ask(CREATE, UAF, bodyFor('registration'), accept)).status).toBe(200)
      expect(
        (await ask('/nevisfido/token/redeem/registration', 'application/json', '{"token":"x"}', accept)).status,
      ).toBe(200)
      expect((await ask('/nevisfido/status', 'application/json', '{"sessionId":"x"}', accept)).status).toBe(200)
    }
    expect((await ask(CREATE, UAF, bodyFor('registration'), 'text/html')).status).toBe(406)
    expect((await ask(CREATE, UAF, bodyFor('registration'), 'application/json;q=0, */*')).status).toBe(406)
    expect((await ask(CREATE, 'text/plain', bodyFor('registration'))).status).toBe(415)
    expect((await ask(CREATE, `${UAF};charset=utf-16`, bodyFor('registration'))).status).toBe(415)
  })

  test('N1: path, method, Content-Type, Accept, credentials, body, contents, user', async () => {
    await using strict = await startService({
      configuration: { nevisfido: { ...OPEN, protect: ['registration'], users: ['jeff'] } },
    })
    const good = {
      'content-type': `${UAF};charset=UTF-8`,
      accept: 'application/json',
      authorization: basic(CLIENT.id, CLIENT.secret),
    }
    const { accept: _accept, ...noAccept } = good
    const { authorization: _authorization, ...noCredentials } = good
    const status = async (path: string, method: string, headers: Record<string, string>, body: string) => {
      const reply = await strict.request(`/nevisfido/token/create/${path}`, {
        method,
        headers,
        ...(method === 'GET' ? {} : { body }),
      })
      return reply.status === 200 ? codeOf(reply) : reply.status
    }
    expect(await status('nothing', 'GET', {}, '')).toBe(404)
    expect(await status('registration', 'GET', {}, '')).toBe(405)
    expect(await status('registration', 'POST', {}, '{')).toBe(415)
    expect(await status('registration', 'POST', { ...noAccept, authorization: 'x' }, '{')).toBe(406)
    expect(await status('registration', 'POST', noCredentials, '{')).toBe(1401)
    expect(await status('registration', 'POST', good, '{')).toBe(1400)
    expect(await status('registration', 'POST', good, bodyFor('authentication', { username: 'nobody' }))).toBe(1498)
    expect(await status('registration', 'POST', good, bodyFor('registration', { username: 'nobody' }))).toBe(1403)
    expect(await status('registration', 'POST', good, bodyFor('registration'))).toBe(1200)
  })
})

describe('the body', () => {
  const send = (body: string) => create(service, 'registration', { body })

  test.each([
    '',
    '{',
    'null',
    '[]',
    '"text"',
    '1',
    '{}',
    '{"op":"Reg"}',
    '{"context":"{}"}',
    '{"op":"Reg","context":""}',
    '{"op":"Reg","context":{}}',
    '{"op":"Reg","context":null}',
    '{"op":"reg","context":"{}"}',
    '{"op":"Registration","context":"{}"}',
    '{"op":1,"context":"{}"}',
    '{"op":["Reg"],"context":"{}"}',
    '{"op":"Reg","context":"{}","previousRequest":1}',
    '{"op":"Reg","context":"{}","previousRequest":null}',
    'op=Reg&context={}',
    `{"op":"Reg","context":"${'x'.repeat(70_000)}"}`,
  ])('N9: %s is 1400', async (body) => {
    expect(await send(body)).toMatchObject({ status: 200, body: '{"statusCode":1400}' })
  })

  test('N9: what is no UTF-8 is 1400: replacing it would make one user name of two', async () => {
    const [head = '', tail = ''] = bodyFor('registration', { username: 'a?b' }).split('?')
    const bytes = Buffer.concat([Buffer.from(head), Buffer.from([0xff]), Buffer.from(tail)])
    expect(codeOf(await create(service, 'registration', { body: bytes }))).toBe(1400)
    const marked = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(bodyFor('registration'))])
    expect(codeOf(await create(service, 'registration', { body: marked }))).toBe(1200)
  })

  test('N9: previousRequest is accepted, unknown members are ignored', async () => {
    const body = JSON.stringify({ ...JSON.parse(bodyFor('registration')), previousRequest: 'x', other: { deep: [1] } })
    expect(codeOf(await send(body))).toBe(1200)
  })

  test.each(
    OPERATIONS.flatMap(({ operation }) =>
      OPERATIONS.filter((other) => other.operation !== operation).map(({ op }) => ({ operation, op })),
    ),
  )('N10: op $op at $operation is 1498', async ({ operation, op }) => {
    const body = JSON.stringify({ op, context: '{"username":"jeff"}' })
    expect(codeOf(await create(service, operation, { body }))).toBe(1498)
  })

  const CONTENTS = [
    'text',
    '[]',
    'null',
    '1',
    '"text"',
    '{',
    '{"username":1}',
    '{"username":null}',
    '{"username":""}',
    JSON.stringify({ username: 'x'.repeat(129) }),
    '{"username":"jeff","policy":"nothing"}',
    '{"username":"jeff","policy":1}',
  ]
  test.each(CONTENTS)('N10: the context %s is 1498', async (context) => {
    expect(codeOf(await send(JSON.stringify({ op: 'Reg', context })))).toBe(1498)
  })

  test.each(['registration', 'deregistration'] as const)('N10: %s without a username is 1498', async (operation) => {
    expect(codeOf(await create(service, operation, { body: bodyFor(operation, {}) }))).toBe(1498)
  })

  const text = Buffer.from('Pay 100 to Anna?').toString('base64')
  test.each(
    [
      [{ contentType: 'text/plain', content: text }],
      'text',
      [],
      [{ contentType: 'text/plain' }],
      [{ content: text }],
      [{ contentType: 'text/plain', content: '***' }],
      [{ contentType: 1, content: text }],
      [null],
    ]
      .map((transaction, at) => ({ transaction, code: at === 0 ? 1498 : 1498 }))
      .slice(1),
  )('N10: the transaction $transaction is 1498', async ({ transaction }) => {
    const body = bodyFor('authentication', { transaction })
    expect(codeOf(await create(service, 'authentication', { body }))).toBe(1498)
  })

  test('N10: a username may have 128 characters', async () => {
    expect(codeOf(await send(bodyFor('registration', { username: 'ü'.repeat(128) })))).toBe(1200)
  })

  test('N10: a configured policy, and default, may be named', async () => {
    for (const policy of ['strong', 'default'])
      expect(codeOf(await send(bodyFor('registration', { username: 'jeff', policy })))).toBe(1200)
  })
})

describe('the reply', () => {
  test('N14: exactly this, and never stored', async () => {
    const reply = await create(service, 'registration', { headers: { origin: 'https://app.example.com' } })
    const { token, sessionId } = JSON.parse(reply.body) as Record<string, string>
    trackSecret(String(token))
    expect(reply).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
    expect(reply.headers).not.toHaveProperty('access-control-allow-origin')
    expect(reply.body).toBe(`{"token":"${token}","sessionId":"${sessionId}","statusCode":1200}`)
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(token).toMatch(uuid)
    expect(sessionId).toMatch(uuid)
    expect(sessionId).not.toBe(token)
  })

  test('N14: a failure has a number and nothing else', async () => {
    const reply = await create(service, 'registration', { body: '{' })
    expect(reply).toMatchObject({
      status: 200,
      body: '{"statusCode":1400}',
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
  })

  test('N14: token and session are never interchangeable', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    expect(codeOf(await redeem(service, 'registration', sessionId))).toBe(1404)
    expect(JSON.parse((await askStatus(service, token)).body)).toMatchObject({ status: 'unknown' })
  })

  test("N15: the vendor's curl sample works byte for byte", async () => {
    const body = '{"context": "{ \\"username\\" : \\"jeff\\" }", "op" : "Reg"}'
    const curl = {
      'user-agent': 'curl/7.68.0',
      accept: 'application/json',
      'content-type': 'application/fido+uaf;charset=UTF-8',
    }
    expect(codeOf(await service.request(CREATE, { method: 'POST', headers: curl, body }))).toBe(1200)
    await using guarded = await startService({ configuration: { nevisfido: { ...OPEN, protect: ['registration'] } } })
    expect(codeOf(await guarded.request(CREATE, { method: 'POST', headers: curl, body }))).toBe(1401)
    expect(codeOf(await guarded.request(CREATE, { method: 'POST', headers: curl, body, as: CLIENT }))).toBe(1200)
  })

  test.each(['"', '\\', "'; DROP TABLE tokens; --", '<script>', 'a\nb', 'ünï 😀', '\u0000', '__proto__'])(
    'N16: the username %j survives',
    async (username) => {
      const { token, sessionId } = await createToken(service, 'registration', {
        body: bodyFor('registration', { username }),
      })
      expect(JSON.parse((await askStatus(service, sessionId)).body)).toMatchObject({ userId: username })
      const { uafRequest } = JSON.parse((await redeem(service, 'registration', token)).body)
      expect(JSON.parse(uafRequest)[0].username).toBe(username)
    },
  )

  test('N16: chunks, Expect: 100-continue and Upgrade: h2c are answered normally', async () => {
    const socket = connect(service.port, '127.0.0.1')
    const body = bodyFor('registration')
    const head = [
      `POST ${CREATE} HTTP/1.1`,
      'Host: x',
      `Content-Type: ${UAF};charset=UTF-8`,
      'Accept: application/json',
      'Connection: Upgrade, HTTP2-Settings, close',
      'Upgrade: h2c',
      'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
      'Expect: 100-continue',
      'Transfer-Encoding: chunked',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
    const answer = await readAll(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    expect(answer).toContain('"statusCode":1200')
  })

  test('the audit line names client, operation and the digest of the token', async () => {
    const { token } = await createToken(service, 'registration')
    const line = service.log.at(-1)
    expect(line).toMatchObject({ event: 'token.issued', contract: 'nevisfido', operation: 'registration' })
    expect(line?.tokenId).toMatch(/^[\w-]{43}$/)
    await redeem(service, 'registration', token)
    expect(service.log.at(-1)).toMatchObject({ event: 'token.redeemed', tokenId: line?.tokenId })
  })
})
