// What Trimint is measured with. Each has a process of its own, with the whole configuration. Not a program of its own.

import { join } from 'node:path'
import { formatRequest, TOKEN_PLACE } from '../load/http.ts'
import type { Expectation, Requests } from '../load/protocol.ts'
import { loginRequest, RIGHT_PASSWORD } from '../support.ts'
import type { StartedSubject, Subject, Surroundings } from './subject.ts'
import { ACCOUNT, SECRETS, startTrimint } from './trimint.ts'

type StoreKind = 'sqlite' | 'redis'

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

const JWS = '[\\w-]+\\.[\\w-]+\\.[\\w-]+'
const ok = (body: string): Expectation => ({ status: 200, body })

/** Checks that a token of the counted kind is good for. */
const TRIES = 15

const bwsRequest = (query: string): string =>
  formatRequest({
    method: 'GET',
    path: `/token?id=shop&bcid=bws.112.12345&task=verify${query}`,
    headers: { authorization: basic('shop', SECRETS.app) },
  })

const BWS: Requests = { request: bwsRequest(''), expect: ok(`^(${JWS})$`) }
const LOGIN: Requests = {
  request: formatRequest(loginRequest(ACCOUNT, RIGHT_PASSWORD)),
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

const check = (path: string, token: string): Requests => ({
  request: formatRequest({ method: 'GET', path: `/authz/${path}`, headers: { authorization: `Bearer ${token}` } }),
  expect: ok('^$'),
})

/** What is sent: the same always, or with tokens that are collected before each stretch. */
type Traffic = Pick<StartedSubject, 'requests' | 'tokens'>

let databases = 0

async function storeOf(kind: StoreKind, folder: string, surroundings: Surroundings): Promise<string> {
  if (kind === 'sqlite') return `sqlite:${join(folder, 'trimint.db')}`
  databases += 1
  return new URL(`/${databases}`, await surroundings.redis()).href
}

function workload(
  name: string,
  title: string,
  store: StoreKind,
  traffic: Traffic,
  extras: { readonly target?: number } = {},
): Subject {
  return {
    name,
    title,
    isPeer: false,
    ...extras,
    async start(surroundings) {
      const folder = join(surroundings.folder, name)
      const url = await storeOf(store, folder, surroundings)
      const { core, variables } = surroundings
      const started = await startTrimint({ core, folder, store: url, variables })
      return { ...started, ...traffic, sharesGenerator: store === 'redis' }
    },
  }
}

const redeem: Traffic = {
  requests: {
    request: formatRequest({
      method: 'POST',
      path: '/nevisfido/token/redeem/registration',
      headers: { 'content-type': 'application/json', accept: 'application/fido+uaf' },
      body: JSON.stringify({ token: TOKEN_PLACE }),
    }),
    expect: ok('^\\{"statusCode":1200,"uafRequest":"'),
  },
  tokens: CREATE,
}

/** As often as anybody asks: a token for each connection, as of several users. */
const UNLIMITED = 1e9

const idscanCheck: Traffic = { requests: { ...check('idscan/scanning', TOKEN_PLACE), uses: UNLIMITED }, tokens: LOGIN }
const uploadCheck: Traffic = { requests: { ...check('bws/upload', TOKEN_PLACE), uses: UNLIMITED }, tokens: BWS }
const countedCheck: Traffic = {
  requests: { ...check('bws/verify', TOKEN_PLACE), uses: TRIES },
  tokens: { ...BWS, request: bwsRequest(`&maxtries=${TRIES}`) },
}

const introspection: Traffic = {
  requests: {
    request: formatRequest({
      method: 'POST',
      path: '/introspect',
      headers: {
        authorization: basic('verify-api', SECRETS.resourceServer),
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: `token=${TOKEN_PLACE}`,
    }),
    expect: ok('^\\{"active":true,'),
    uses: UNLIMITED,
  },
  tokens: LOGIN,
}

/** Those that have a target: what `--quick` measures. */
export const HEADLINES: readonly Subject[] = [
  workload('bws', 'BWS token', 'sqlite', { requests: BWS }, { target: 0.5 }),
  workload('check-idscan', 'gateway check, IDscan', 'sqlite', idscanCheck, { target: 0.5 }),
  workload('login', 'IDscan login', 'sqlite', { requests: LOGIN }, { target: 0.4 }),
  workload('create-sqlite', 'FIDO create, SQLite', 'sqlite', { requests: CREATE }, { target: 0.3 }),
  workload('create-redis', 'FIDO create, Redis', 'redis', { requests: CREATE }, { target: 0.3 }),
]

export const WORKLOADS: readonly Subject[] = [
  ...HEADLINES,
  workload('bws-challenge', 'BWS token with challenge', 'sqlite', {
    requests: { ...BWS, request: bwsRequest('&challenge=true') },
  }),
  workload('check-upload', 'gateway check, BWS upload', 'sqlite', uploadCheck),
  workload('check-counted', 'gateway check, BWS counted', 'sqlite', countedCheck),
  workload('introspect', 'introspection, IDscan', 'sqlite', introspection),
  workload('redeem-sqlite', 'FIDO redeem, SQLite', 'sqlite', redeem),
  workload('redeem-redis', 'FIDO redeem, Redis', 'redis', redeem),
]
