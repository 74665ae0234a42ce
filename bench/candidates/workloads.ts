// Trimint's workloads. Each runs on a server process with the whole configuration.

import type { StoreKind } from '../environment.ts'
import type { Requests } from '../load/client.ts'
import { basic, FORM, formatRequest, JWS, TOKEN_PLACE } from '../load/http.ts'
import type { Candidate, Traffic } from './candidate.ts'
import { ACCOUNT, SECRETS, startTrimint } from './trimint.ts'

/** Checks that one token of the counted kind allows. */
const TRIES = 15

const bwsRequest = (query: string): string =>
  formatRequest(`GET /token?id=shop&bcid=bws.112.12345&task=verify${query}`, {
    authorization: basic('shop', SECRETS.app),
  })

export const BWS: Requests = { request: bwsRequest(''), expect: `^(${JWS})$` }

export const LOGIN: Requests = {
  request: formatRequest(
    'POST /idscanenterprisesvc/token',
    { 'content-type': FORM },
    new URLSearchParams({ grant_type: 'password', ...ACCOUNT, area: 'scanning' }).toString(),
  ),
  expect: `^\\{"access_token":"(${JWS})"`,
}

const OPAQUE = '[\\w-]+'
const created = (token: string, sessionId: string): string =>
  `^\\{"token":"${token}","sessionId":"${sessionId}","statusCode":1200\\}$`

export const CREATE: Requests = {
  request: formatRequest(
    'POST /nevisfido/token/create/registration',
    {
      authorization: basic('backend', SECRETS.client),
      'content-type': 'application/fido+uaf;charset=UTF-8',
      accept: 'application/json',
    },
    JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
  ),
  expect: created(`(${OPAQUE})`, OPAQUE),
}

const check = (path: string): Requests => ({
  request: formatRequest(`GET /authz/${path}`, { authorization: `Bearer ${TOKEN_PLACE}` }),
  expect: '^$',
})

const asResourceServer = (path: string): string =>
  formatRequest(
    `POST ${path}`,
    { authorization: basic('verify-api', SECRETS.resourceServer), 'content-type': FORM },
    `token=${TOKEN_PLACE}`,
  )

const introspect: Requests = { request: asResourceServer('/introspect'), expect: '^\\{"active":true,' }

export const REVOKE: Requests = { request: asResourceServer('/revoke'), expect: '^$' }

const redeem: Requests = {
  request: formatRequest(
    'POST /nevisfido/token/redeem/registration',
    { 'content-type': 'application/json', accept: 'application/fido+uaf' },
    JSON.stringify({ token: TOKEN_PLACE }),
  ),
  expect: '^\\{"statusCode":1200,"uafRequest":"',
}

const status: Requests = {
  request: formatRequest(
    'POST /nevisfido/status',
    { authorization: basic('backend', SECRETS.client), 'content-type': 'application/json', accept: 'application/json' },
    JSON.stringify({ sessionId: TOKEN_PLACE }),
  ),
  expect: '"status":"tokenCreated"',
}

const UNLIMITED_USES = 1e9

export const idscanCheck: Traffic = { requests: { ...check('idscan/scanning'), uses: UNLIMITED_USES }, tokens: LOGIN }
const countedCheck: Traffic = {
  requests: { ...check('bws/verify'), uses: TRIES },
  tokens: { ...BWS, request: bwsRequest(`&maxtries=${TRIES}`) },
}
const introspection: Traffic = { requests: { ...introspect, uses: UNLIMITED_USES }, tokens: LOGIN }
const redemption: Traffic = { requests: redeem, tokens: CREATE }
const sessionStatus: Traffic = {
  requests: { ...status, uses: UNLIMITED_USES },
  tokens: { ...CREATE, expect: created(OPAQUE, `(${OPAQUE})`) },
}

function workload(name: string, title: string, kind: StoreKind, traffic: Traffic, target?: number): Candidate {
  return {
    name,
    title,
    kind: 'trimint',
    target,
    async start(environment, env) {
      const place = environment.place(name)
      return startTrimint({ ...place, store: await environment.openStore(kind, place.folder), env }, traffic)
    },
  }
}

/** The workloads that have a target. */
export const HEADLINES: readonly Candidate[] = [
  workload('bws', 'BWS token', 'sqlite', { requests: BWS }, 0.45),
  workload('check-idscan', 'gateway check, IDscan', 'sqlite', idscanCheck, 0.5),
  workload('login', 'IDscan login', 'sqlite', { requests: LOGIN }, 0.4),
  workload('create-sqlite', 'nevisFIDO create, SQLite', 'sqlite', { requests: CREATE }, 0.25),
  workload('create-redis', 'nevisFIDO create, Redis', 'redis', { requests: CREATE }, 0.25),
]

export const WORKLOADS: readonly Candidate[] = [
  ...HEADLINES,
  workload('check-counted-sqlite', 'gateway check, counted, SQLite', 'sqlite', countedCheck),
  workload('check-counted-redis', 'gateway check, counted, Redis', 'redis', countedCheck),
  workload('introspect', 'introspection, IDscan', 'sqlite', introspection),
  workload('status-sqlite', 'nevisFIDO status, SQLite', 'sqlite', sessionStatus),
  workload('redeem-sqlite', 'nevisFIDO redeem, SQLite', 'sqlite', redemption),
  workload('create-postgres', 'nevisFIDO create, PostgreSQL', 'postgres', { requests: CREATE }, 0.2),
  workload('redeem-postgres', 'nevisFIDO redeem, PostgreSQL', 'postgres', redemption),
  workload('redeem-redis', 'nevisFIDO redeem, Redis', 'redis', redemption),
]
