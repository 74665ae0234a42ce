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
  ])('N2: returns 404 for the operation %s', async (operation) => {
    for (const method of ['POST', 'GET']) {
      const reply = await service.request(`/nevisfido/token/create/${operation}`, { method, headers: TAKEN })
      expect(reply.status).toBe(404)
    }
  })

  test.each(OPERATIONS)(
    'N2: creates a token for $operation, with and without a trailing slash',
    async ({ operation }) => {
      for (const slash of ['', '/']) {
        const reply = await service.request(`/nevisfido/token/create/${operation}${slash}`, {
          method: 'POST',
          headers: TAKEN,
          body: bodyFor(operation),
        })
        expect(codeOf(reply)).toBe(1200)
      }
    },
  )

  test.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'N3: rejects %s with 405, whatever the headers',
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
  ])('N4: accepts the Content-Type %s', async (contentType) => {
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
  ])('N4: rejects the Content-Type %j with 415', async (contentType) => {
    expect(await create(service, 'registration', { headers: { 'content-type': contentType } })).toMatchObject({
      status: 415,
      body: '',
    })
  })

  test('N4: rejects a request without Content-Type with 415', async () => {
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
  ])('N5: accepts Accept %j', async (accept) => {
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
  ])('N5: rejects Accept %j with 406', async (accept) => {
    expect(await create(service, 'registration', { headers: { accept } })).toMatchObject({ status: 406, body: '' })
  })

  test('N5: rejects a request without Accept with 406', async () => {
    const headers = { 'content-type': `${UAF};charset=UTF-8` }
    expect(await service.request(CREATE, { method: 'POST', headers, body: bodyFor('registration') })).toMatchObject({
      status: 406,
    })
  })

  test('N6: accepts an absent or general Accept and a missing charset at all three services with negotiation: lenient', async () => {
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

  test('N1: checks path, method, Content-Type, Accept, credentials, body, contents and user in this order', async () => {
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
  ])('N9: returns 1400 for %s', async (body) => {
    expect(await send(body)).toMatchObject({ status: 200, body: '{"statusCode":1400}' })
  })

  test('N9: returns 1400 for invalid UTF-8, whose replacement could make two user names equal', async () => {
    const [head = '', tail = ''] = bodyFor('registration', { username: 'a?b' }).split('?')
    const bytes = Buffer.concat([Buffer.from(head), Buffer.from([0xff]), Buffer.from(tail)])
    expect(codeOf(await create(service, 'registration', { body: bytes }))).toBe(1400)
    const marked = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(bodyFor('registration'))])
    expect(codeOf(await create(service, 'registration', { body: marked }))).toBe(1200)
  })

  test('N9: accepts previousRequest, and ignores unknown members', async () => {
    const body = JSON.stringify({ ...JSON.parse(bodyFor('registration')), previousRequest: 'x', other: { deep: [1] } })
    expect(codeOf(await send(body))).toBe(1200)
  })

  test.each(
    OPERATIONS.flatMap(({ operation }) =>
      OPERATIONS.filter((other) => other.operation !== operation).map(({ op }) => ({ operation, op })),
    ),
  )('N10: returns 1498 for op $op at $operation', async ({ operation, op }) => {
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
  test.each(CONTENTS)('N10: returns 1498 for the context %s', async (context) => {
    expect(codeOf(await send(JSON.stringify({ op: 'Reg', context })))).toBe(1498)
  })

  test.each(['registration', 'deregistration'] as const)(
    'N10: returns 1498 for %s without a username',
    async (operation) => {
      expect(codeOf(await create(service, operation, { body: bodyFor(operation, {}) }))).toBe(1498)
    },
  )

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
  )('N10: returns 1498 for the transaction $transaction', async ({ transaction }) => {
    const body = bodyFor('authentication', { transaction })
    expect(codeOf(await create(service, 'authentication', { body }))).toBe(1498)
  })

  test('N10: accepts a username of 128 characters', async () => {
    expect(codeOf(await send(bodyFor('registration', { username: 'ü'.repeat(128) })))).toBe(1200)
  })

  test('N10: accepts a configured policy, and default', async () => {
    for (const policy of ['strong', 'default'])
      expect(codeOf(await send(bodyFor('registration', { username: 'jeff', policy })))).toBe(1200)
  })
})

describe('the reply', () => {
  test('N14: returns exactly this, not to be stored', async () => {
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

  test('N14: returns a failure as a number and nothing else', async () => {
    const reply = await create(service, 'registration', { body: '{' })
    expect(reply).toMatchObject({
      status: 200,
      body: '{"statusCode":1400}',
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
  })

  test('N14: accepts neither a token as session nor a session as token', async () => {
    const { token, sessionId } = await createToken(service, 'registration')
    expect(codeOf(await redeem(service, 'registration', sessionId))).toBe(1404)
    expect(JSON.parse((await askStatus(service, token)).body)).toMatchObject({ status: 'unknown' })
  })

  test("N15: accepts the vendor's curl sample byte for byte", async () => {
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
    'N16: keeps the username %j',
    async (username) => {
      const { token, sessionId } = await createToken(service, 'registration', {
        body: bodyFor('registration', { username }),
      })
      expect(JSON.parse((await askStatus(service, sessionId)).body)).toMatchObject({ userId: username })
      const { uafRequest } = JSON.parse((await redeem(service, 'registration', token)).body)
      expect(JSON.parse(uafRequest)[0].username).toBe(username)
    },
  )

  test('N16: answers chunked bodies, Expect: 100-continue and Upgrade: h2c normally', async () => {
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

  test('audits the client, the operation and the digest of the token', async () => {
    const { token } = await createToken(service, 'registration')
    const line = service.log.at(-1)
    expect(line).toMatchObject({ event: 'token.issued', contract: 'nevisfido', operation: 'registration' })
    expect(line?.tokenId).toMatch(/^[\w-]{43}$/)
    await redeem(service, 'registration', token)
    expect(service.log.at(-1)).toMatchObject({ event: 'token.redeemed', tokenId: line?.tokenId })
  })
})
