// Trimint's workloads. Each runs on a server process with the whole configuration.

import { join } from 'node:path'
import type { BenchEnvironment } from '../environment.ts'
import { formatRequest, TOKEN_PLACE } from '../load/http.ts'
import type { Expectation, Requests } from '../load/protocol.ts'
import type { Candidate, Target } from './candidate.ts'
import { ACCOUNT, SECRETS, startTrimintProcess } from './trimint.ts'

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

const JWS = '[\\w-]+\\.[\\w-]+\\.[\\w-]+'
const ok = (body: string): Expectation => ({ status: 200, body })

/** Checks that one token of the counted kind allows. */
const TRIES = 15

const FORM = 'application/x-www-form-urlencoded'

const bwsRequest = (query: string): string =>
  formatRequest({
    method: 'GET',
    path: `/token?id=shop&bcid=bws.112.12345&task=verify${query}`,
    headers: { authorization: basic('shop', SECRETS.app) },
  })

export const BWS: Requests = { request: bwsRequest(''), expect: ok(`^(${JWS})$`) }

export const LOGIN: Requests = {
  request: formatRequest({
    method: 'POST',
    path: '/idscanenterprisesvc/token',
    headers: { 'content-type': FORM },
    body: new URLSearchParams({ grant_type: 'password', ...ACCOUNT, area: 'scanning' }).toString(),
  }),
  expect: ok(`^\\{"access_token":"(${JWS})"`),
}

export const CREATE: Requests = {
  request: formatRequest({
    method: 'POST',
    path: '/nevisfido/token/create/registration',
    headers: {
      authorization: basic('backend', SECRETS.client),
      'content-type': 'application/fido+uaf;charset=UTF-8',
      accept: 'application/json',
    },
    body: JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
  }),
  expect: ok('^\\{"token":"([\\w-]+)","sessionId":"[\\w-]+","statusCode":1200\\}$'),
}

const check = (path: string): Requests => ({
  request: formatRequest({
    method: 'GET',
    path: `/authz/${path}`,
    headers: { authorization: `Bearer ${TOKEN_PLACE}` },
  }),
  expect: ok('^$'),
})

const asResourceServer = (path: string): string =>
  formatRequest({
    method: 'POST',
    path,
    headers: { authorization: basic('verify-api', SECRETS.resourceServer), 'content-type': FORM },
    body: `token=${TOKEN_PLACE}`,
  })

const introspect: Requests = { request: asResourceServer('/introspect'), expect: ok('^\\{"active":true,') }

export const REVOKE: Requests = { request: asResourceServer('/revoke'), expect: ok('^$') }

const redeem: Requests = {
  request: formatRequest({
    method: 'POST',
    path: '/nevisfido/token/redeem/registration',
    headers: { 'content-type': 'application/json', accept: 'application/fido+uaf' },
    body: JSON.stringify({ token: TOKEN_PLACE }),
  }),
  expect: ok('^\\{"statusCode":1200,"uafRequest":"'),
}

const UNLIMITED_USES = 1e9

export type Traffic = Pick<Target, 'requests' | 'tokens'>

export const idscanCheck: Traffic = { requests: { ...check('idscan/scanning'), uses: UNLIMITED_USES }, tokens: LOGIN }
const countedCheck: Traffic = {
  requests: { ...check('bws/verify'), uses: TRIES },
  tokens: { ...BWS, request: bwsRequest(`&maxtries=${TRIES}`) },
}
const introspection: Traffic = { requests: { ...introspect, uses: UNLIMITED_USES }, tokens: LOGIN }
const redemption: Traffic = { requests: redeem, tokens: CREATE }

export type StoreKind = 'sqlite' | 'redis' | 'postgres'

export function openStoreUrl(kind: StoreKind, folder: string, environment: BenchEnvironment): string | Promise<string> {
  return kind === 'sqlite' ? `sqlite:${join(folder, 'trimint.db')}` : environment.openDatabase(kind)
}

interface Workload extends Candidate {
  /** @param env variables for the server's process */
  start(environment: BenchEnvironment, env?: Readonly<Record<string, string>>): Promise<Target>
}

function workload(name: string, title: string, kind: StoreKind, traffic: Traffic, target?: number): Workload {
  return {
    name,
    title,
    kind: 'trimint',
    ...(target === undefined ? {} : { target }),
    async start(environment, env) {
      const folder = join(environment.folder, name, env?.WORKERS ?? '')
      const store = await openStoreUrl(kind, folder, environment)
      const started = await startTrimintProcess({ core: environment.cores.server, folder, store, env })
      return { ...started, ...traffic, sharesGeneratorCore: kind !== 'sqlite' }
    },
  }
}

/** The workloads that have a target. */
export const HEADLINES: readonly Workload[] = [
  workload('bws', 'BWS token', 'sqlite', { requests: BWS }, 0.45),
  workload('check-idscan', 'gateway check, IDscan', 'sqlite', idscanCheck, 0.5),
  workload('login', 'IDscan login', 'sqlite', { requests: LOGIN }, 0.4),
  workload('create-sqlite', 'nevisFIDO create, SQLite', 'sqlite', { requests: CREATE }, 0.25),
  workload('create-redis', 'nevisFIDO create, Redis', 'redis', { requests: CREATE }, 0.25),
]

export const WORKLOADS: readonly Workload[] = [
  ...HEADLINES,
  workload('check-counted-sqlite', 'gateway check, counted, SQLite', 'sqlite', countedCheck),
  workload('check-counted-redis', 'gateway check, counted, Redis', 'redis', countedCheck),
  workload('introspect', 'introspection, IDscan', 'sqlite', introspection),
  workload('redeem-sqlite', 'nevisFIDO redeem, SQLite', 'sqlite', redemption),
  workload('create-postgres', 'nevisFIDO create, PostgreSQL', 'postgres', { requests: CREATE }, 0.2),
  workload('redeem-postgres', 'nevisFIDO redeem, PostgreSQL', 'postgres', redemption),
  workload('redeem-redis', 'nevisFIDO redeem, Redis', 'redis', redemption),
]
