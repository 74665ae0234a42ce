import { expect, test } from 'vitest'
import { type BwsApp, type BwsTokenRequest, issueBwsToken } from '../../../../src/core/bws/issue.ts'
import { verifyBwsToken } from '../../../../src/core/bws/verify.ts'
import { createKey } from '../../../../src/core/crypto/keyring.ts'
import { createPredictableRandomness } from '../../../support/randomness.ts'
import { createFrozenClock, FROZEN_TIME } from '../../../support/time.ts'

const keyring = [createKey('test', new Uint8Array(32))]
const AUDIENCE = 'https://t.example.com'
const APP: BwsApp = {
  id: 'app-1',
  secrets: [],
  client: 'Client',
  issuer: 'BWS',
  audience: AUDIENCE,
  lifetimeSeconds: 600,
  challengeClaim: 'array',
  tasks: new Set(['verify', 'livenessdetection']),
  partitions: new Set(['bws/1']),
}
const REQUEST: BwsTokenRequest = {
  id: 'app-1',
  bcid: { storage: 'bws', partition: 1, classId: 2 },
  task: 'verify',
  maxtries: 2,
  livedetection: true,
  challenge: false,
  autoenroll: false,
  challenges: 3,
  traits: ['Face'],
}

const issue = (app: BwsApp, request: BwsTokenRequest) =>
  issueBwsToken(app, request, { keyring, clock: createFrozenClock(), randomness: createPredictableRandomness() })

test.each<[what: string, app: BwsApp, changed: Partial<BwsTokenRequest>, token: object]>([
  ['a verification', APP, {}, { bcid: 'bws/1/2', challenge: undefined }],
  ['a challenge as an array', APP, { challenge: true }, { challenge: [expect.any(Array), expect.any(Array)] }],
  ['a challenge as text', { ...APP, challengeClaim: 'string' }, { challenge: true }, { challenge: expect.any(Array) }],
  ['a liveness detection without a BCID', APP, { task: 'livenessdetection', bcid: undefined }, { bcid: '' }],
  [
    'any partition',
    { ...APP, partitions: '*' },
    { bcid: { storage: 'x', partition: 9, classId: 9 } },
    { bcid: 'x/9/9' },
  ],
])('B24: issues a token that verifies, for %s', (_what, app, changed, token) => {
  const result = issue(app, { ...REQUEST, ...changed })
  if (!('token' in result)) throw new Error(`refused: ${result.refused}`)
  const verified = verifyBwsToken(result.token, { keyring, issuer: 'BWS', audience: AUDIENCE }, FROZEN_TIME)
  expect(verified).toMatchObject({ token: { app: 'app-1', tokenId: result.tokenId, ...token } })
})

test.each<[refused: string, changed: Partial<BwsTokenRequest>]>([
  ['foreign_id', { id: 'app-2' }],
  ['task_not_allowed', { task: 'enroll' }],
  ['bcid_not_allowed', { bcid: { storage: 'bws', partition: 2, classId: 2 } }],
])('B8: returns %s for a request beyond what the app may do', (refused, changed) => {
  expect(issue(APP, { ...REQUEST, ...changed })).toEqual({ refused })
})
