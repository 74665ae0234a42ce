import * as oauth4webapi from 'oauth4webapi'
import * as openidClient from 'openid-client'
import { afterAll, describe, expect, test } from 'vitest'
import { ACCOUNT } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { issueBws, issueIdscan } from '../../support/lifecycle.ts'
import { oauthBasic } from '../../support/resource-server.ts'
import { basic, startService } from '../../support/service.ts'

// Runs widely used OAuth clients unmodified, and checks what they send and return.

/** Contains every character that encodings of credentials treat differently. */
const RESOURCE_SERVER = { id: 'verify api/1+2=3%41-x', secret: 'clients+secret / with=all:the %41 -_.~ characters ü' }
const WRONG_SECRET = 'the wrong secret'
for (const secret of [RESOURCE_SERVER.secret, WRONG_SECRET]) {
  trackSecret(secret)
  trackSecret(new URLSearchParams({ secret }).toString().slice('secret='.length))
  oauthBasic(RESOURCE_SERVER.id, secret)
}

const service = await startService({
  configuration: {
    guard: false,
    idscan: { accounts: [ACCOUNT] },
    resourceServers: [{ id: RESOURCE_SERVER.id, secret: `plain:${RESOURCE_SERVER.secret}` }],
  },
})
afterAll(() => service.close())

const SERVER = {
  issuer: service.url,
  introspection_endpoint: `${service.url}/introspect`,
  revocation_endpoint: `${service.url}/revoke`,
}

type Method = 'ClientSecretBasic' | 'ClientSecretPost'
const METHODS: Method[] = ['ClientSecretBasic', 'ClientSecretPost']

interface Caller {
  introspect(token: string): Promise<Record<string, unknown>>
  revoke(token: string): Promise<void>
}

interface OAuthClient {
  readonly name: string
  open(method: Method, secret: string): Caller
}

const openid: OAuthClient = {
  name: 'openid-client',
  open(method, secret) {
    const { ClientSecretBasic, ClientSecretPost } = openidClient
    const authentication = { ClientSecretBasic, ClientSecretPost }[method](secret)
    const configuration = new openidClient.Configuration(SERVER, RESOURCE_SERVER.id, undefined, authentication)
    openidClient.allowInsecureRequests(configuration)
    return {
      introspect: (token) => openidClient.tokenIntrospection(configuration, token, { token_type_hint: 'access_token' }),
      revoke: (token) => openidClient.tokenRevocation(configuration, token, { token_type_hint: 'access_token' }),
    }
  },
}

const webapi: OAuthClient = {
  name: 'oauth4webapi',
  open(method, secret) {
    const client = { client_id: RESOURCE_SERVER.id }
    const { ClientSecretBasic, ClientSecretPost } = oauth4webapi
    const authentication = { ClientSecretBasic, ClientSecretPost }[method](secret)
    const options = { [oauth4webapi.allowInsecureRequests]: true }
    return {
      async introspect(token) {
        const response = await oauth4webapi.introspectionRequest(SERVER, client, authentication, token, options)
        return oauth4webapi.processIntrospectionResponse(SERVER, client, response)
      },
      async revoke(token) {
        const response = await oauth4webapi.revocationRequest(SERVER, client, authentication, token, options)
        await oauth4webapi.processRevocationResponse(response)
      },
    }
  },
}

const kinds = [
  {
    kind: 'BWS',
    issue: () => issueBws(service),
    said: { sub: 'app-1', client_id: 'app-1', trimint: expect.objectContaining({ contract: 'bws', triesLeft: 3 }) },
  },
  {
    kind: 'IDscan',
    issue: () => issueIdscan(service),
    said: { sub: 'psc', trimint: expect.objectContaining({ contract: 'idscan', area: 'scanning' }) },
  },
]

const clients = [openid, webapi].flatMap(({ name, open }) => METHODS.map((method) => ({ name, method, open })))

describe.each(clients)('$name with $method', ({ method, open }) => {
  test.each(kinds)('introspects and revokes a $kind token', async ({ issue, said }) => {
    const { introspect, revoke } = open(method, RESOURCE_SERVER.secret)
    const token = await issue()
    expect(await introspect(token)).toMatchObject({ active: true, token_type: 'bearer', ...said })
    expect(await revoke(token)).toBeUndefined()
    expect(await introspect(token)).toEqual({ active: false })
    expect(await revoke(token)).toBeUndefined()
  })

  test('reports an unknown token as inactive', async () => {
    const { introspect, revoke } = open(method, RESOURCE_SERVER.secret)
    expect(await introspect('nothing')).toEqual({ active: false })
    expect(await revoke('nothing')).toBeUndefined()
  })

  test.each(kinds)('reports a wrong secret, and revokes no $kind token with it', async ({ issue, said }) => {
    const { introspect, revoke } = open(method, WRONG_SECRET)
    const token = await issue()
    for (const refused of [introspect(token), revoke(token)]) {
      const error = await refused.catch((reason: oauth4webapi.WWWAuthenticateChallengeError) => reason)
      expect(error).toMatchObject({
        name: 'WWWAuthenticateChallengeError',
        status: 401,
        cause: [{ scheme: 'basic', parameters: { realm: 'Trimint', charset: 'UTF-8' } }],
      })
      const { response } = error as oauth4webapi.WWWAuthenticateChallengeError
      expect(await response.json()).toEqual({ error: 'invalid_client', error_description: expect.any(String) })
    }
    const right = open(method, RESOURCE_SERVER.secret)
    expect(await right.introspect(token)).toMatchObject({ active: true, ...said })
  })
})

describe.each(kinds)('fetch', ({ kind, issue, said }) => {
  const { id, secret } = RESOURCE_SERVER
  const credentials = [
    { how: 'HTTP Basic', headers: { Authorization: basic(id, secret) }, form: {} },
    { how: 'HTTP Basic, form-urlencoded', headers: { Authorization: oauthBasic(id, secret) }, form: {} },
    { how: 'the form', headers: {}, form: { client_id: id, client_secret: secret } },
  ]

  test.each(credentials)(`introspects and revokes a ${kind} token with URLSearchParams and $how`, async (as) => {
    const token = await issue()
    const body = new URLSearchParams({ token, ...as.form })
    const call = (url: string) => fetch(url, { method: 'POST', headers: as.headers, body })
    expect(await (await call(SERVER.introspection_endpoint)).json()).toMatchObject({ active: true, ...said })
    const revoked = await call(SERVER.revocation_endpoint)
    expect([revoked.status, await revoked.text()]).toEqual([200, ''])
    expect(await (await call(SERVER.introspection_endpoint)).json()).toEqual({ active: false })
  })
})
