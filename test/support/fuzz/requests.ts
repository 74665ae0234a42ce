import fc from 'fast-check'
import { CALLER } from '../bws.ts'
import { ACCOUNT, encodeForm, PASSWORD, PATH } from '../idscan.ts'
import { RESOURCE_SERVER, RESOURCE_SERVERS } from '../lifecycle.ts'
import { CLIENT, OPEN, OPERATIONS, opOf, UAF } from '../nevisfido.ts'
import { APP, basic } from '../service.ts'
import { KINDS, type Kind, placeholder } from './tokens.ts'

/** A request before it is changed. All text, so that any part can be changed. */
export interface Draft {
  readonly method: string
  readonly target: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body?: string
  readonly chunked?: boolean
}

/** The default configuration of fuzzed services: every contract, no deliberate delays, no blocked addresses. */
export const FUZZED = {
  bws: { apps: [APP] },
  idscan: { accounts: [ACCOUNT] },
  nevisfido: { ...OPEN, protect: ['deregistration' as const] },
  resourceServers: RESOURCE_SERVERS,
  guard: false as const,
}

/**
 * The opposite configuration: short lifetimes, short blocks, and every option that is stricter, looser or off by
 * default.
 */
export const CONTRARY = {
  publicUrl: 'http://tokens.example.com',
  bws: { challengeClaim: 'string' as const, lifetime: '20s', apps: [APP] },
  idscan: {
    lifetime: '20s',
    idleTimeout: '1m',
    enforceIdleTimeout: true,
    requireArea: true,
    usernameCase: 'insensitive' as const,
    corsOrigins: ['https://app.example.com'],
    accounts: [ACCOUNT, { ...ACCOUNT, username: 'gone', disabled: true }],
  },
  nevisfido: {
    ...OPEN,
    negotiation: 'lenient' as const,
    protect: OPERATIONS.map(({ operation }) => operation),
    tokenLifetime: '20s',
    responseLifetime: { registration: '20s', authentication: '1s', deregistration: '1s' },
    users: ['jeff', 'anna'],
    policies: { constructor: { accepted: [[{ userVerification: 2 }]] } },
    bearer: {
      issuer: 'i',
      audience: 'a',
      jwks: {
        keys: [
          {
            kty: 'EC' as const,
            crv: 'P-256',
            x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
            y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
          },
        ],
      },
    },
  },
  resourceServers: RESOURCE_SERVERS,
  guard: { accountFailures: 5, addressFailures: 50, window: '1s', block: '1s' },
  trustProxy: ['loopback'],
}

export const HOST = ['Host', 'tokens.example.com'] as const
const FORM = ['Content-Type', 'application/x-www-form-urlencoded'] as const
const app = basic(CALLER.id, CALLER.secret)
const client = basic(CLIENT.id, CLIENT.secret)
const resourceServer = basic(RESOURCE_SERVER.id, RESOURCE_SERVER.secret)

const slot = fc.nat(47)
/** Generates the placeholder of a token. */
export const token = (...kinds: Kind[]) =>
  fc.tuple(fc.constantFrom(...kinds), slot).map(([kind, index]) => placeholder(kind, index))
const boolean = fc.constantFrom('true', 'false', 'TRUE')
const text = (value: number): string => String(value)

const bwsQuery = fc
  .record(
    {
      bcid: fc
        .tuple(fc.constantFrom('bws', 'x-Y_1'), fc.integer({ min: -9, max: 200 }), fc.integer())
        .map((parts) => parts.join('.')),
      task: fc.constantFrom('verify', 'identify', 'enroll', 'livenessdetection'),
      maxtries: fc.integer({ min: 1, max: 15 }).map(text),
      livedetection: boolean,
      challenge: boolean,
      challenges: fc.integer({ min: 2, max: 7 }).map(text),
      autoenroll: boolean,
      traits: fc.constantFrom('Face', 'face,PERIOCULAR', 'Voice', 'Face, Voice'),
    },
    { requiredKeys: ['bcid'] },
  )
  .map((query) => new URLSearchParams({ id: APP.id, ...query }).toString())

const issueBws = fc.tuple(fc.constantFrom('/token', '/extension/token'), bwsQuery).map(
  ([path, query]): Draft => ({
    method: 'GET',
    target: `${path}?${query}`,
    headers: [HOST, ['Authorization', app]],
  }),
)

const issueIdscan = fc
  .record({ area: fc.constantFrom('scanning', 'investigation', ''), chunked: fc.boolean() })
  .map(({ area, chunked }): Draft => {
    const form = { grant_type: 'password', username: ACCOUNT.username, password: PASSWORD, area }
    return { method: 'POST', target: PATH, headers: [HOST, FORM], body: encodeForm(form), chunked }
  })

const transaction = [{ contentType: 'text/plain', content: 'cGF5IDEyIEVVUg==' }]
const context = fc.record(
  {
    username: fc.constantFrom('jeff', 'anna', 'Ж"\\\n<ü>'),
    policy: fc.constant('default'),
    transaction: fc.constant(transaction),
  },
  { requiredKeys: ['username'] },
)

const createFido = fc.tuple(fc.constantFrom(...OPERATIONS), context, fc.boolean()).map(
  ([{ operation, op }, said, chunked]): Draft => ({
    method: 'POST',
    target: `/nevisfido/token/create/${operation}`,
    headers: [
      HOST,
      ['Content-Type', `${UAF};charset=UTF-8`],
      ['Accept', 'application/json'],
      ['Authorization', client],
    ],
    body: JSON.stringify({ op, context: JSON.stringify(said) }),
    chunked,
  }),
)

export const JSON_IN = ['Content-Type', 'application/json'] as const

const redeemFido = fc.tuple(fc.constantFrom(...OPERATIONS), token('fido')).map(
  ([{ operation }, value]): Draft => ({
    method: 'POST',
    target: `/nevisfido/token/redeem/${operation}`,
    headers: [HOST, JSON_IN, ['Accept', UAF]],
    body: JSON.stringify({ token: value }),
  }),
)

const fidoStatus = token('session', 'session', 'fido').map(
  (sessionId): Draft => ({
    method: 'POST',
    target: '/nevisfido/status',
    headers: [HOST, JSON_IN, ['Accept', 'application/json']],
    body: JSON.stringify({ sessionId }),
  }),
)

const checkBws = fc
  .tuple(fc.constantFrom('upload', 'verify', 'identify', 'enroll', 'livenessdetection'), token('bws', 'bws', 'idscan'))
  .map(
    ([operation, value]): Draft => ({
      method: 'GET',
      target: `/authz/bws/${operation}`,
      headers: [HOST, ['Authorization', `Bearer ${value}`]],
    }),
  )

const checkIdscan = fc
  .tuple(fc.constantFrom('scanning', 'investigation'), token('idscan', 'idscan', 'bws'), fc.boolean())
  .map(
    ([area, value, cookie]): Draft => ({
      method: 'GET',
      target: `/authz/idscan/${area}`,
      headers: [HOST, cookie ? ['Cookie', `token=${value}; csrftoken=x`] : ['Authorization', value]],
    }),
  )

const aboutToken = fc
  .tuple(fc.constantFrom('/introspect', '/introspect', '/revoke'), token(...KINDS), fc.boolean())
  .map(([target, value, inForm]): Draft => {
    const credentials = { client_id: RESOURCE_SERVER.id, client_secret: RESOURCE_SERVER.secret }
    const body = encodeForm({ token: value, ...(inForm ? credentials : {}) })
    const headers = [HOST, FORM, ...(inForm ? [] : [['Authorization', resourceServer] as const])]
    return { method: 'POST', target, headers, body }
  })

const ours = fc
  .constantFrom('/healthz', '/readyz', '/docs/openapi.json', '/docs', '/docs/', '/docs/page.js', '/', '/nothing')
  .map((target): Draft => ({ method: 'GET', target, headers: [HOST] }))

/** Expensive, because each answer is long. */
const metrics = fc.constant<Draft>({ method: 'GET', target: '/metrics', headers: [HOST] })

/** Generates a request for any route, as its clients send it. */
export const drafts = fc.oneof(
  { weight: 24, arbitrary: issueBws },
  { weight: 16, arbitrary: issueIdscan },
  { weight: 16, arbitrary: createFido },
  { weight: 16, arbitrary: redeemFido },
  { weight: 12, arbitrary: fidoStatus },
  { weight: 16, arbitrary: checkBws },
  { weight: 14, arbitrary: checkIdscan },
  { weight: 24, arbitrary: aboutToken },
  { weight: 6, arbitrary: ours },
  { weight: 1, arbitrary: metrics },
)

/** One correct request for each operation. */
export const right = {
  issueBws: (query = ''): Draft => ({
    method: 'GET',
    target: `/token?id=${APP.id}&bcid=bws.1.2${query}`,
    headers: [HOST, ['Authorization', app]],
  }),
  issueIdscan: (area: string): Draft => ({
    method: 'POST',
    target: PATH,
    headers: [HOST, FORM],
    body: encodeForm({ grant_type: 'password', username: ACCOUNT.username, password: PASSWORD, area }),
  }),
  createFido: (operation: (typeof OPERATIONS)[number]['operation']): Draft => ({
    method: 'POST',
    target: `/nevisfido/token/create/${operation}`,
    headers: [
      HOST,
      ['Content-Type', `${UAF};charset=UTF-8`],
      ['Accept', 'application/json'],
      ['Authorization', client],
    ],
    body: JSON.stringify({ op: opOf(operation), context: '{"username":"jeff"}' }),
  }),
  redeemFido: (operation: string, value: string): Draft => ({
    method: 'POST',
    target: `/nevisfido/token/redeem/${operation}`,
    headers: [HOST, JSON_IN, ['Accept', UAF]],
    body: JSON.stringify({ token: value }),
  }),
  fidoStatus: (sessionId: string): Draft => ({
    method: 'POST',
    target: '/nevisfido/status',
    headers: [HOST, JSON_IN, ['Accept', 'application/json']],
    body: JSON.stringify({ sessionId }),
  }),
  checkBws: (operation: string, value: string): Draft => ({
    method: 'GET',
    target: `/authz/bws/${operation}`,
    headers: [HOST, ['Authorization', `Bearer ${value}`]],
  }),
  checkIdscan: (area: string, value: string): Draft => ({
    method: 'GET',
    target: `/authz/idscan/${area}`,
    headers: [HOST, ['Authorization', value]],
  }),
  aboutToken: (path: '/introspect' | '/revoke', value: string): Draft => ({
    method: 'POST',
    target: path,
    headers: [HOST, FORM, ['Authorization', resourceServer]],
    body: encodeForm({ token: value }),
  }),
  get: (target: string): Draft => ({ method: 'GET', target, headers: [HOST] }),
}
