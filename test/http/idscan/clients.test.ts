import { execFile } from 'node:child_process'
import { createSecretKey } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { OAuth2Client } from '@badgateway/oauth2-client'
import ClientOAuth2 from 'client-oauth2'
import { jwtVerify } from 'jose'
import { OAuth2 } from 'oauth'
import * as oauth4webapi from 'oauth4webapi'
import { UserManager } from 'oidc-client-ts'
import * as openidClient from 'openid-client'
import { ResourceOwnerPassword } from 'simple-oauth2'
import { afterAll, describe, expect, test } from 'vitest'
import { ACCOUNT, PASSWORD } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { hasProgram } from '../../support/programs.ts'
import { basic, KEY, startService } from '../../support/service.ts'

// Runs widely used OAuth clients unmodified.

const { username: USERNAME } = ACCOUNT
const WRONG_PASSWORD = PASSWORD.trim()
/** Most OAuth clients send it, asked or not. */
const CLIENT = { id: 'a-client', secret: 'client-secret-that-is-not-checked' }
for (const secret of [PASSWORD, WRONG_PASSWORD]) trackSecret(secret)
basic(CLIENT.id, CLIENT.secret)

const service = await startService({
  configuration: {
    idscan: { accounts: [ACCOUNT] },
    guard: false,
  },
})
afterAll(() => service.close())

const TOKEN_PATH = '/IDScanEnterpriseSvc/Token'
const TOKEN_URL = `${service.url}${TOKEN_PATH}`
const form = (password: string) => ({ username: USERNAME, password, area: 'scanning' })

interface OAuthClient {
  readonly name: string
  /** Resolves to the access token. */
  login(password: string): Promise<string>
  /** The error that it rejects with after `invalid_grant`. */
  readonly invalidGrant: object
}

const simpleOauth2: OAuthClient = {
  name: 'simple-oauth2',
  async login(password) {
    const client = new ResourceOwnerPassword({
      client: CLIENT,
      auth: { tokenHost: service.url, tokenPath: TOKEN_PATH },
    })
    return (await client.getToken(form(password))).token.access_token
  },
  invalidGrant: { data: { payload: { error: 'invalid_grant' } } },
}

const openid: OAuthClient = {
  name: 'openid-client',
  async login(password) {
    const server = { issuer: service.url, token_endpoint: TOKEN_URL }
    const configuration = new openidClient.Configuration(server, CLIENT.id, CLIENT.secret)
    openidClient.allowInsecureRequests(configuration)
    return (await openidClient.genericGrantRequest(configuration, 'password', form(password))).access_token
  },
  invalidGrant: { name: 'ResponseBodyError', error: 'invalid_grant' },
}

const webapi: OAuthClient = {
  name: 'oauth4webapi',
  async login(password) {
    const server = { issuer: service.url, token_endpoint: TOKEN_URL }
    const client = { client_id: CLIENT.id }
    const response = await oauth4webapi.genericTokenEndpointRequest(
      server,
      client,
      oauth4webapi.ClientSecretBasic(CLIENT.secret),
      'password',
      form(password),
      { [oauth4webapi.allowInsecureRequests]: true },
    )
    return (await oauth4webapi.processGenericTokenEndpointResponse(server, client, response)).access_token
  },
  invalidGrant: { name: 'ResponseBodyError', error: 'invalid_grant' },
}

const oidcClientTs: OAuthClient = {
  name: 'oidc-client-ts',
  async login(password) {
    const manager = new UserManager({
      authority: service.url,
      metadata: { issuer: service.url, token_endpoint: TOKEN_URL },
      client_id: CLIENT.id,
      redirect_uri: 'https://page.example.com/',
      extraTokenParams: { area: 'scanning' },
    })
    const user = await manager.signinResourceOwnerCredentials({ username: USERNAME, password, skipUserInfo: true })
    return user.access_token
  },
  invalidGrant: { name: 'ErrorResponse', error: 'invalid_grant' },
}

const clientOauth2: OAuthClient = {
  name: 'client-oauth2',
  async login(password) {
    const client = new ClientOAuth2({
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      accessTokenUri: TOKEN_URL,
      body: { area: 'scanning' },
    })
    return (await client.owner.getToken(USERNAME, password)).accessToken
  },
  invalidGrant: { code: 'EAUTH', body: { error: 'invalid_grant' } },
}

const badgateway: OAuthClient = {
  name: '@badgateway/oauth2-client',
  async login(password) {
    const client = new OAuth2Client({
      tokenEndpoint: TOKEN_URL,
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
    })
    // Its types have no area, but it sends every parameter that it gets.
    const parameters = form(password)
    return (await client.password(parameters)).accessToken
  },
  invalidGrant: { httpCode: 400, oauth2Code: 'invalid_grant' },
}

const nodeOauth: OAuthClient = {
  name: 'oauth',
  login(password) {
    const client = new OAuth2(CLIENT.id, CLIENT.secret, service.url, '', TOKEN_PATH)
    const parameters = { grant_type: 'password', ...form(password) }
    return new Promise((resolve, reject) => {
      // It always sends a code.
      client.getOAuthAccessToken('', parameters, (error, token) => (error ? reject(error) : resolve(token)))
    })
  },
  invalidGrant: { statusCode: 400, data: expect.stringContaining('"error":"invalid_grant"') },
}

/** Expects a genuine token for scanning. */
async function expectScanningToken(token: string): Promise<void> {
  trackSecret(token)
  const { payload } = await jwtVerify(token, createSecretKey(Buffer.from(KEY, 'base64url')), { algorithms: ['HS256'] })
  expect(payload).toMatchObject({ sub: USERNAME, area: 'scanning' })
}

describe.each([simpleOauth2, openid, webapi, oidcClientTs, clientOauth2, badgateway, nodeOauth])(
  '$name',
  ({ name, login, invalidGrant }) => {
    test(`I14: issues a token with an area to ${name}`, async () => {
      await expectScanningToken(await login(PASSWORD))
    })

    test(`I23: makes ${name} report a wrong password as invalid_grant`, async () => {
      await expect(login(WRONG_PASSWORD)).rejects.toMatchObject(invalidGrant)
    })
  },
)

test('I3: accepts fetch with URLSearchParams, as axios and fetch callers send it', async () => {
  const response = await fetch(TOKEN_URL, {
    method: 'POST',
    headers: { Accept: 'application/json, text/plain, */*' },
    body: new URLSearchParams({ grant_type: 'password', ...form(PASSWORD) }),
  })
  expect(response.status).toBe(200)
  const { access_token } = (await response.json()) as { access_token: string }
  await expectScanningToken(access_token)
})

const PYTHON = `
import json, sys, urllib.parse, urllib.request

url, username, password = sys.argv[1:]
form = {'grant_type': 'password', 'username': username, 'password': password, 'area': 'scanning'}
response = urllib.request.urlopen(url, urllib.parse.urlencode(form).encode())
header = ', '.join(response.headers.get_all('Set-Cookie'))
cookies = dict(cookie.split(';')[0].strip().split('=', 1) for cookie in header.split(','))
print(json.dumps({'reply': json.load(response), 'cookies': cookies}))
`

test.skipIf(!hasProgram('python3'))(
  'I20: sets cookies that a Python script finds when it splits Set-Cookie on commas',
  async () => {
    const { stdout } = await promisify(execFile)('python3', ['-c', PYTHON, TOKEN_URL, USERNAME, PASSWORD])
    const { reply, cookies } = JSON.parse(stdout) as { reply: { access_token: string }; cookies: object }
    await expectScanningToken(reply.access_token)
    expect(cookies).toEqual({ token: reply.access_token, csrftoken: expect.stringMatching(/^[A-Za-z0-9%]+$/) })
  },
)

const JAVA = `
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

class Login {
  public static void main(String[] args) throws Exception {
    var form = "grant_type=password&username=" + encode(args[1]) + "&password=" + encode(args[2]) + "&area=scanning";
    var request = HttpRequest.newBuilder(URI.create(args[0]))
      .header("Content-Type", "application/x-www-form-urlencoded")
      .POST(HttpRequest.BodyPublishers.ofString(form))
      .build();
    var response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    System.out.println(response.headers().firstValue("Content-Type").orElse("none"));
    System.out.println(response.body());
  }

  static String encode(String value) {
    return URLEncoder.encode(value, StandardCharsets.UTF_8);
  }
}
`

test.skipIf(!hasProgram('java'))("I15, I16: returns the vendor's JSON to Java's own HttpClient", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-java-'))
  try {
    const file = join(folder, 'Login.java')
    await writeFile(file, JAVA)
    const { stdout } = await promisify(execFile)('java', [file, TOKEN_URL, USERNAME, PASSWORD], {
      // Without it, Java reads its arguments as ASCII where no locale is set.
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
    const [contentType, body = ''] = stdout.split('\n')
    const { access_token } = JSON.parse(body) as { access_token: string }
    await expectScanningToken(access_token)
    expect(contentType).toBe('application/json;charset=UTF-8')
    expect(body).toMatch(/^\{"access_token":"[^"]+","token_type":"bearer","expires_in":35999,"BranchCode":"0042"/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
