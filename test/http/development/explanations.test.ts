import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { REASONS } from '../../../src/observability/reasons.ts'
import { CALLER, getToken, QUERY } from '../../support/bws.ts'
import { runTrimint } from '../../support/command.ts'
import { control, latest, startDevelopment } from '../../support/development.ts'
import { ACCOUNT, LOGIN, login } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import {
  alter,
  checkBws,
  checkIdscan,
  claimsIn,
  FOREIGN_KEY,
  forge,
  issueBws,
  issueIdscan,
} from '../../support/lifecycle.ts'
import { CLIENT, create, createToken, OPEN, redeem } from '../../support/nevisfido.ts'
import { APP, type Reply, type Service } from '../../support/service.ts'

const OTHER = { id: 'app-2', secret: 'the secret of the other app' }
const OLD = 'an old secret of app-3'

let service: Service
beforeAll(async () => {
  for (const secret of [OTHER.secret, OLD]) trackSecret(secret)
  service = await startDevelopment({
    configuration: {
      bws: {
        apps: [
          { ...APP, tasks: ['verify'], bcids: ['bws/112'] },
          { id: OTHER.id, secret: `plain:${OTHER.secret}`, bcids: '*' },
          { id: 'app-3', secrets: [{ secret: `plain:${OLD}`, notAfter: '2020-01-01' }], bcids: '*' },
        ],
      },
      idscan: {
        accounts: [
          { ...ACCOUNT, areas: ['scanning'] },
          { ...ACCOUNT, username: 'gone', disabled: true },
        ],
      },
      nevisfido: {
        ...OPEN,
        protect: ['registration'],
        users: ['jeff', 'ann'],
        clients: [{ id: CLIENT.id, secret: `plain:${CLIENT.secret}`, users: ['jeff'] }],
      },
      guard: { addressFailures: 1_000, accountFailures: 3 },
    },
  })
})
afterAll(() => service.close())
beforeEach(async () => {
  await control(service, 'POST', '/reset')
})

type Case = readonly [reason: string, explanation: RegExp, act: () => Promise<Reply | string>]

const cases: Case[] = [
  ['missing_authorization', /no credentials/i, () => service.request(`/token?${QUERY}`)],
  [
    'malformed_authorization',
    /another scheme than HTTP Basic/i,
    () => service.request(`/token?${QUERY}`, { headers: { authorization: 'Digest x' } }),
  ],
  [
    'unknown_app',
    /there are app-1, app-2, app-3; did you mean app-1\?/i,
    () => getToken(service, QUERY, { as: { id: 'app-l', secret: 'x' } }),
  ],
  [
    'bad_secret',
    /matches none of the 1 secrets of app-1/i,
    () => getToken(service, QUERY, { as: { id: 'app-1', secret: 'x' } }),
  ],
  [
    'bad_secret',
    /belongs to app-2, not to app-1/i,
    () => getToken(service, QUERY, { as: { id: 'app-1', secret: OTHER.secret } }),
  ],
  [
    'bad_secret',
    /secret of app-3 was valid until 2020-01-01/i,
    () => getToken(service, QUERY, { as: { id: 'app-3', secret: OLD } }),
  ],
  [
    'bad_parameter',
    /maxtries must be an integer from 1 to 15\. bcid|bcid must be|maxtries must be/i,
    () => getToken(service, 'id=app-1&maxtries=99'),
  ],
  ['foreign_id', /id is not app-1, whose credentials/i, () => getToken(service, 'id=app-2&bcid=bws.112.1')],
  [
    'task_not_allowed',
    /task enroll; bws\.apps\[app-1\]\.tasks is verify/i,
    () => getToken(service, `${QUERY}&task=enroll`),
  ],
  [
    'bcid_not_allowed',
    /partition bws\/113; bws\.apps\[app-1\]\.bcids is bws\/112/i,
    () => getToken(service, 'id=app-1&bcid=bws.113.1'),
  ],
  ['method_not_allowed', /does not have this method/i, () => service.request('/token', { method: 'POST', as: CALLER })],
  ['invalid_token', /not a signed token/i, () => checkBws(service, 'verify', 'opaque')],
  [
    'invalid_token',
    /no live key of the configuration has signed the token; the keys are key-1/i,
    async () => checkBws(service, 'verify', forge(claimsIn(await issueBws(service)), { key: FOREIGN_KEY })),
  ],
  ['invalid_token', /no live key/i, async () => checkBws(service, 'verify', alter(await issueBws(service), 60))],
  [
    'invalid_token',
    /has iss Other; expected BWS/i,
    async () => checkBws(service, 'verify', forge({ ...claimsIn(await issueBws(service)), iss: 'Other' })),
  ],
  [
    'invalid_token',
    /has aud http:\/\/x; expected http/i,
    async () => checkBws(service, 'verify', forge({ ...claimsIn(await issueBws(service)), aud: 'http://x' })),
  ],
  [
    'invalid_token',
    /signed with HS512; expected HS256/i,
    async () =>
      checkBws(service, 'verify', forge(claimsIn(await issueBws(service)), { header: { alg: 'HS512', typ: 'JWT' } })),
  ],
  [
    'token_expired',
    /expired at 2\d{3}-.*; it is 2\d{3}-.* for Trimint/i,
    async () => {
      const token = await issueBws(service)
      await control(service, 'PATCH', '/clock', { advance: '1h' })
      return checkBws(service, 'verify', token)
    },
  ],
  [
    'token_not_yet_valid',
    /valid from 2\d{3}/i,
    async () => {
      const token = await issueBws(service)
      await control(service, 'PATCH', '/clock', { advance: '-1h' })
      return checkBws(service, 'verify', token)
    },
  ],
  [
    'wrong_task',
    /token is for verify; the check is for enroll/i,
    async () => checkBws(service, 'enroll', await issueBws(service)),
  ],
  [
    'tries_used_up',
    /allowed 1 tries \(maxtries\)/i,
    async () => {
      const token = await issueBws(service, 'maxtries=1')
      await checkBws(service, 'verify', token)
      return checkBws(service, 'verify', token)
    },
  ],
  ['unsupported_grant_type', /the body has no grant_type/i, () => login(service, { username: 'a' })],
  [
    'unknown_account',
    /no account of idscan\.accounts has this username/i,
    () => login(service, { ...LOGIN, username: 'nobody' }),
  ],
  ['bad_password', /not that of psc/i, () => login(service, { ...LOGIN, password: 'wrong-password' })],
  [
    'account_disabled',
    /password is right, but the account gone has disabled: true/i,
    () => login(service, { ...LOGIN, username: 'gone' }),
  ],
  [
    'area_not_allowed',
    /area investigation; idscan\.accounts\[psc\]\.areas is scanning; the password is right/i,
    () => login(service, { ...LOGIN, area: 'investigation' }),
  ],
  [
    'blocked',
    /blocks the account psc for another 900 s/i,
    async () => {
      for (let index = 0; index < 3; index++) await login(service, { ...LOGIN, password: 'wrong-password' })
      return login(service)
    },
  ],
  [
    'wrong_area',
    /token is for scanning; the check is for investigation/i,
    async () => checkIdscan(service, 'investigation', await issueIdscan(service)),
  ],
  [
    'unsupported_media_type',
    /Content-Type is text\/plain; expected application\/fido\+uaf;charset=UTF-8/i,
    () => create(service, 'authentication', { headers: { 'content-type': 'text/plain' } }),
  ],
  [
    'not_acceptable',
    /Accept is text\/html; expected application\/json/i,
    () => create(service, 'authentication', { headers: { accept: 'text/html' } }),
  ],
  [
    'unknown_client',
    /there is backend/i,
    () => create(service, 'registration', { as: { id: 'frontend', secret: 'x' } }),
  ],
  [
    'user_not_allowed',
    /clients\[backend\]\.users does not have ann/i,
    () => create(service, 'registration', { as: CLIENT, body: '{"op":"Reg","context":"{\\"username\\":\\"ann\\"}"}' }),
  ],
  [
    'unknown_user',
    /nevisfido\.users does not have bob/i,
    () => create(service, 'authentication', { body: '{"op":"Auth","context":"{\\"username\\":\\"bob\\"}"}' }),
  ],
  [
    'bad_contents',
    /op is Reg; the path is for authentication, whose op is Auth/i,
    () => create(service, 'authentication', { body: '{"op":"Reg","context":"{}"}' }),
  ],
  ['bad_body', /JSON with op and context/i, () => create(service, 'authentication', { body: '[]' })],
  ['unknown_token', /no token with this digest/i, () => redeem(service, 'authentication', 'unknown')],
  [
    'token_spent',
    /each token can be redeemed once/i,
    async () => {
      const { token } = await createToken(service, 'authentication')
      await redeem(service, 'authentication', token)
      return redeem(service, 'authentication', token)
    },
  ],
  [
    'wrong_operation',
    /another operation than deregistration/i,
    async () => redeem(service, 'deregistration', (await createToken(service, 'authentication')).token),
  ],
]

test.each(cases)('L16: explains %s: %s', async (reason, explanation, act) => {
  await act()
  const record = await latest(service)
  expect(record).toMatchObject({ outcome: 'refused', reason })
  expect(record.explanation).toMatch(explanation)
  const { action } = REASONS[reason as keyof typeof REASONS]
  expect(record.explanation?.toLowerCase()).toContain(action.toLowerCase())
})

test('L16: trimint explain prints the words of docs/audit.md, and those of a request', async () => {
  const { code, out } = await runTrimint('explain bad_secret')
  expect({ code, out }).toEqual({ code: 0, out: `${REASONS.bad_secret.meaning}\n${REASONS.bad_secret.action}\n` })
  await getToken(service, QUERY, { as: { id: 'app-1', secret: 'x' }, headers: { 'x-request-id': 'asked/1' } })
  const variables = { PORT: String(service.port) }
  const asked = await runTrimint('explain asked/1', { variables })
  expect(asked).toEqual({ code: 0, out: `bad_secret: ${(await latest(service)).explanation}\n`, err: '' })
  await getToken(service, 'id=app-1&bcid=bws.112.1', { headers: { 'x-request-id': 'asked-2' } })
  expect((await runTrimint('explain asked-2', { variables })).out).toBe('not refused: issued\n')
  expect(await runTrimint('explain nonsense', { variables })).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringMatching(/no such reason and no such request/),
  })
})
