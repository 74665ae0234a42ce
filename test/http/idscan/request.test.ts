import { afterAll, describe, expect, test } from 'vitest'
import { ACCOUNT, encodeForm, jsonOf, LOGIN, login, PASSWORD, PATH } from '../../support/idscan.ts'
import { basic, startService } from '../../support/service.ts'

const service = await startService({
  configuration: {
    guard: false,
    idscan: {
      accounts: [
        ACCOUNT,
        { ...ACCOUNT, username: 'limited', areas: ['scanning'] },
        { ...ACCOUNT, username: 'nowhere', areas: [] },
        { ...ACCOUNT, username: 'Jürgen Müller+1' },
        { ...ACCOUNT, username: 'off', disabled: true },
      ],
    },
  },
})
afterAll(() => service.close())

describe('path and method', () => {
  test.each([
    '/idscanenterprisesvc/token',
    '/IDScanEnterpriseSvc/Token',
    '/IDSCANENTERPRISESVC/TOKEN',
    '/idscanenterprisesvc/token/',
    '/IDScanEnterpriseSvc/Token/',
    'http://tokens.example.com/IDScanEnterpriseSvc/Token?x=y',
  ])('I1: issues a token at %s', async (path) => {
    expect((await login(service, LOGIN, { path })).status).toBe(200)
  })

  test.each([
    '/idscanenterprisesvc',
    '/idscanenterprisesvc/token//',
    '/idscanenterprisesvc/token/x',
    '/idscanenterprisesvc/tokens',
    '/i',
  ])('I1: returns 404 at %s', async (path) => {
    expect(await login(service, LOGIN, { path })).toMatchObject({ status: 404 })
  })

  test.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'])(
    'I2: rejects %s with 405',
    async (method) => {
      const reply = await service.request(PATH, { method })
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } })
      if (method !== 'HEAD') expect(jsonOf(reply)).toMatchObject({ error: 'invalid_request' })
    },
  )

  test('I2: answers OPTIONS with 204', async () => {
    expect(await service.request(PATH, { method: 'OPTIONS' })).toMatchObject({ status: 204, body: '' })
  })

  test('I2: answers OPTIONS with 204, whatever its body', async () => {
    const headers = { 'content-type': 'application/json' }
    expect(await service.request(PATH, { method: 'OPTIONS', headers, body: '{' })).toMatchObject({ status: 204 })
  })
})

describe('the body', () => {
  test.each([
    'application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded;charset=UTF-8',
    'application/x-www-form-urlencoded; charset=utf-8',
    'APPLICATION/X-WWW-FORM-URLENCODED; Charset="Utf-8"',
    'application/x-www-form-urlencoded;charset=iso-8859-1',
  ])('I3: reads a body of Content-Type %s as a form', async (contentType) => {
    expect((await login(service, LOGIN, { headers: { 'content-type': contentType } })).status).toBe(200)
  })

  test('I3: reads a body without Content-Type as a form', async () => {
    const reply = await service.request(PATH, { method: 'POST', body: encodeForm(LOGIN) })
    expect(reply.status).toBe(200)
  })

  test('I3: accepts fetch with URLSearchParams, and a chunked body', async () => {
    const response = await fetch(service.url + PATH, { method: 'POST', body: new URLSearchParams(LOGIN) })
    expect(response.status).toBe(200)
    const chunked = await fetch(service.url + PATH, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new Blob([encodeForm(LOGIN)]).stream(),
      duplex: 'half',
    })
    expect(chunked.status).toBe(200)
  })

  test.each([
    ['application/json', JSON.stringify(LOGIN)],
    ['application/json', encodeForm(LOGIN)],
    [
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\npassword\r\n--x--',
    ],
    ['text/plain', encodeForm(LOGIN)],
    ['nonsense', encodeForm(LOGIN)],
    ['application/x-www-form-urlencoded2', encodeForm(LOGIN)],
    ['application/x-www-form-urlencoded', ''],
    ['application/x-www-form-urlencoded', 'password'],
    ['application/x-www-form-urlencoded', '\u0000'],
  ])('I3: rejects %s with the body %j as unsupported_grant_type', async (contentType, body) => {
    const reply = await login(service, body, { headers: { 'content-type': contentType } })
    expect(reply.status).toBe(400)
    expect(jsonOf(reply).error).toBe('unsupported_grant_type')
  })

  test('I3: rejects a request without a body as unsupported_grant_type', async () => {
    expect(jsonOf(await service.request(PATH, { method: 'POST' })).error).toBe('unsupported_grant_type')
  })

  test('I4: reads + and %20 as a space, and text as UTF-8', async () => {
    const password = encodeURIComponent(PASSWORD).replaceAll('%20', '+')
    for (const username of ['J%C3%BCrgen+M%C3%BCller%2B1', 'Jürgen%20Müller%2b1']) {
      const reply = await login(service, `grant_type=password&username=${username}&password=${password}`)
      expect(reply.status).toBe(200)
    }
  })

  test('I4: keeps the letters beside an invalid %, encoded or not', async () => {
    const accounts = [{ username: 'jürgen', password: 'plain:pässw%rd€' }]
    await using other = await startService({ configuration: { idscan: { accounts } } })
    for (const password of ['pässw%rd€', 'pässw%25rd€', 'p%C3%A4ssw%rd%E2%82%AC', 'p%C3%A4ssw%25rd€']) {
      const reply = await login(other, `grant_type=password&username=jürgen&password=${password}`)
      expect(reply.status, password).toBe(200)
    }
  })

  test.each(['%zz', '%', '%zz%C3%A4', '%u0041', '%EF%BF%BD'])(
    'I4: causes no internal error with %s in a value',
    async (text) => {
      const reply = await login(service, `grant_type=password&username=${text}&password=${text}&x=${text}&${text}=1`)
      expect(reply.status).toBe(400)
      expect(jsonOf(reply).error).toBe('invalid_grant')
    },
  )

  // Valid sequences are 61, c3a4, e282ac and f09f9880; the last of the invalid ones are a surrogate and an overlong `/`.
  const NOT_UTF8 = ['ff', 'c3', '61c3', 'c328', 'e282', 'f09f98', 'a4', 'eda080', 'c0af']

  test.each(NOT_UTF8)('I4: rejects the bytes %s in a known parameter as invalid_request', async (hex) => {
    const percent = hex.replaceAll(/../g, '%$&')
    // What a replacement would make of the bytes.
    const replaced = Buffer.from(hex, 'hex').toString()
    const accounts = [{ username: replaced, password: `plain:${replaced}` }]
    await using other = await startService({ configuration: { idscan: { accounts } } })
    for (const name of ['username', 'password', 'area']) {
      const form: Record<string, string> = {
        grant_type: 'password',
        username: 'x',
        password: 'x',
        area: 'scanning',
        [name]: '',
      }
      const text = encodeForm(form).replace(`${name}=`, `${name}=HERE`)
      const [before = '', after = ''] = text.split('HERE')
      const raw = Buffer.concat([Buffer.from(before), Buffer.from(hex, 'hex'), Buffer.from(after)])
      for (const body of [raw, before + percent + after, `${before}%zz${percent}${after}`]) {
        const reply = await other.request(PATH, {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        })
        expect(reply.status).toBe(400)
        expect(jsonOf(reply)).toEqual({ error: 'invalid_request', error_description: `${name} must be valid UTF-8.` })
        expect(other.log.at(-1)).toMatchObject({ reason: 'bad_parameter', parameters: [name] })
      }
    }
    expect((await login(other, { grant_type: 'password', username: replaced, password: replaced })).status).toBe(200)
  })

  test('I4, I6: rejects bytes that are not UTF-8 in grant_type as unsupported_grant_type', async () => {
    const reply = await login(service, 'grant_type=%ff&username=psc&password=x')
    expect(jsonOf(reply).error).toBe('unsupported_grant_type')
  })

  test('I14: ignores bytes that are not UTF-8 in anything else', async () => {
    expect((await login(service, `${encodeForm(LOGIN)}&x=%ff&%ff=1`)).status).toBe(200)
  })

  test.each([
    { GRANT_TYPE: 'password', UserName: 'psc', PASSWORD, Area: 'scanning' },
    { Grant_Type: 'password', userName: 'psc', passWord: PASSWORD, AREA: 'scanning' },
  ])('I5: accepts keys in any case: %o', async (form) => {
    expect((await login(service, form)).status).toBe(200)
  })
})

describe('the parameters', () => {
  const { grant_type: _grantType, ...withoutGrantType } = LOGIN

  test.each([
    ['missing', withoutGrantType],
    ['empty', { ...LOGIN, grant_type: '' }],
    ['client_credentials', { ...LOGIN, grant_type: 'client_credentials' }],
    ['in another case', { ...LOGIN, grant_type: 'Password' }],
    ['with a trailing space', { ...LOGIN, grant_type: 'password ' }],
    ['wrong, with nothing else', { grant_type: 'x' }],
    ['missing, with an unknown area', { area: 'nowhere' }],
  ])('I6: rejects grant_type %s as unsupported_grant_type, before everything else', async (_what, form) => {
    const reply = await login(service, form)
    expect(reply.status).toBe(400)
    expect(jsonOf(reply).error).toBe('unsupported_grant_type')
  })

  test.each(['PSC', 'Psc', ' psc', 'psc ', 'psc\u0000'])(
    'I7: does not accept the username %j for psc',
    async (username) => {
      expect(jsonOf(await login(service, { ...LOGIN, username })).error).toBe('invalid_grant')
    },
  )

  test('I7: folds case and returns the configured name with usernameCase: insensitive', async () => {
    const idscan = { usernameCase: 'insensitive' as const, accounts: [ACCOUNT] }
    await using folding = await startService({ configuration: { idscan } })
    const json = jsonOf(await login(folding, { ...LOGIN, username: 'PsC' }))
    expect(json['http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name']).toBe('psc')
  })

  test('I7: refuses to start with two accounts that differ only in case, with usernameCase: insensitive', async () => {
    const accounts = [ACCOUNT, { ...ACCOUNT, username: 'PSC' }]
    const start = startService({ configuration: { idscan: { usernameCase: 'insensitive', accounts } } })
    await expect(start).rejects.toThrow(/same name except for case/)
  })

  test.each([PASSWORD.trim(), `${PASSWORD} `, PASSWORD.toUpperCase(), PASSWORD.normalize('NFD')])(
    'I8: rejects the password %j',
    async (password) => {
      expect(jsonOf(await login(service, { ...LOGIN, password })).error).toBe('invalid_grant')
    },
  )

  test.each([
    ['username', { username: '' }],
    ['password', { password: '' }],
    ['username', { username: [] }],
    ['password', { password: [] }],
  ])('I9: returns invalid_request naming %s where it is missing', async (name, change) => {
    const reply = await login(service, { ...LOGIN, ...change })
    expect(reply.status).toBe(400)
    expect(jsonOf(reply)).toEqual({
      error: 'invalid_request',
      error_description: `${name} must be given and not empty.`,
    })
  })

  test('I9: names both where both are missing', async () => {
    const { error_description } = jsonOf(await login(service, { grant_type: 'password' }))
    expect(error_description).toMatch(/username must be .* password must be /)
  })

  test.each(['scanning', 'investigation'])('I10: issues a token with area=%s', async (area) => {
    const { access_token } = jsonOf(await login(service, { ...LOGIN, area }))
    expect(claimsOfToken(access_token)).toMatchObject({ area })
  })

  test.each(['Scanning', 'SCANNING', 'scan', 'scanning ', 'scanning,investigation', 'toString'])(
    'I10: rejects area=%j as invalid_request',
    async (area) => {
      const json = jsonOf(await login(service, { ...LOGIN, area }))
      expect(json).toMatchObject({
        error: 'invalid_request',
        error_description: expect.stringMatching(/scanning, investigation/),
      })
    },
  )

  test.each([[''], [[]]])('I11: issues a token without an area for %j', async (area) => {
    const { access_token } = jsonOf(await login(service, { ...LOGIN, area }))
    expect(claimsOfToken(access_token)).not.toHaveProperty('area')
  })

  test.each([[''], [[]], ['x']])(
    'I11: rejects an area of %j as invalid_request with requireArea: true',
    async (area) => {
      await using strict = await startService({ configuration: { idscan: { requireArea: true, accounts: [ACCOUNT] } } })
      expect(jsonOf(await login(strict, { ...LOGIN, area }))).toMatchObject({ error: 'invalid_request' })
      expect((await login(strict)).status).toBe(200)
    },
  )

  test('I12: rejects an area that the account may not use as invalid_grant', async () => {
    for (const form of [
      { username: 'limited', area: 'investigation' },
      { username: 'nowhere', area: 'scanning' },
    ]) {
      const reply = await login(service, { ...LOGIN, ...form })
      expect(reply.status).toBe(400)
      expect(jsonOf(reply)).toEqual({ error: 'invalid_grant', error_description: 'The account may not use this area.' })
      expect(service.log.at(-1)).toMatchObject({ reason: 'area_not_allowed', account: form.username })
    }
  })

  test('I12: checks the password before the area', async () => {
    const form = { ...LOGIN, username: 'limited', area: 'investigation', password: 'wrong password' }
    expect(jsonOf(await login(service, form)).error_description).toBe('The user name or password is incorrect.')
  })

  test.each(['username', 'USERNAME', 'password', 'area', 'Area'])(
    'I13: rejects %s given twice as invalid_request',
    async (name) => {
      const reply = await login(service, `${encodeForm(LOGIN)}&${name}=x`)
      expect(reply.status).toBe(400)
      expect(jsonOf(reply)).toMatchObject({
        error: 'invalid_request',
        error_description: expect.stringMatching(/only once/),
      })
    },
  )

  test.each(['grant_type=password', 'Grant_Type=password', 'GRANT_TYPE='])(
    'I13: rejects %s as a second grant_type as unsupported_grant_type',
    async (pair) => {
      expect(jsonOf(await login(service, `${encodeForm(LOGIN)}&${pair}`)).error).toBe('unsupported_grant_type')
    },
  )

  test('I14: ignores everything else, and does not log the query', async () => {
    const form = `${encodeForm(LOGIN)}&client_id=a&client_secret=b&scope=&code=c&login-form-type=pwd&scope=x&x&=&&`
    const headers = { authorization: basic('client', 'some client secret'), cookie: 'token=stale; csrftoken=stale' }
    const query = '?grant_type=x&username=other&password=in-the-query&area=x'
    expect((await login(service, form, { headers, path: PATH + query })).status).toBe(200)
    expect(JSON.stringify(service.log)).not.toContain('in-the-query')
  })
})

function claimsOfToken(token: unknown): Record<string, unknown> {
  return JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString())
}
