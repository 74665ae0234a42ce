import { expect, test } from 'vitest'
import { systemRandomness } from '../../../src/app/system-randomness.ts'
import { createBwsTokens } from '../../../src/core/bws/tokens.ts'
import { signJws } from '../../../src/core/crypto/jws.ts'
import { createKey } from '../../../src/core/crypto/keyring.ts'
import { digestId, issueFidoToken } from '../../../src/core/fido/issue.ts'
import { createFidoTokens } from '../../../src/core/fido/tokens.ts'
import { createIdscanTokens } from '../../../src/core/idscan/tokens.ts'
import { createLifecycle } from '../../../src/core/lifecycle.ts'
import { createRevocations } from '../../../src/core/revocations.ts'
import { openStores } from '../../../src/store/open-stores.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const key = createKey('test', new Uint8Array(32))
const NOW = Math.floor(FROZEN_TIME / 1000)
const COMMON = { iss: 'i', aud: 'a', exp: NOW + 600, nbf: NOW }
const BWS = signJws({ tokenid: 'b', clnt: 'c', app: 'app-1', bcid: '', traits: 3, task: 3, ...COMMON }, key)
const IDSCAN = signJws({ jti: 'i', sub: 'psc', iat: NOW, ...COMMON }, key)

async function start() {
  const stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  const clock = createFrozenClock()
  const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
  const verifier = { keyring: [key], issuer: 'i', audience: 'a' }
  const psc = { username: 'psc', password: '', disabled: false, areas: new Set<never>(), memberOf: [] }
  const issued = await issueFidoToken({ operation: 'registration', username: 'jeff', policy: undefined }, undefined, {
    store: stores.tokens,
    revocations,
    clock,
    randomness: systemRandomness,
    appId: 'https://fido.example.com/facets',
    policies: new Map(),
    tokenLifetimeMs: 1_000,
    anonymousLimit: { maxRecords: 10, maxBytes: 10_000 },
    responseLifetimeMs: { registration: 1, authentication: 1, deregistration: 1 },
  })
  return {
    fido: issued.token,
    enabled: createLifecycle({
      bws: createBwsTokens({ verifier, apps: new Set(['app-1']), revocations, uses: stores.uses, clock }),
      idscan: createIdscanTokens({
        verifier,
        accounts: new Map([['psc', psc]]),
        revocations,
        idleTimeout: undefined,
        clock,
      }),
      nevisfido: createFidoTokens({
        store: stores.tokens,
        credentials: stores.credentials,
        findStatement: () => undefined,
        revocations,
        clock,
      }),
      revocations,
      clock,
    }),
    disabled: createLifecycle({ bws: undefined, idscan: undefined, nevisfido: undefined, revocations, clock }),
    [Symbol.asyncDispose]: () => stores.close(),
  }
}

test('inspects and revokes a token of each contract once, and returns its id', async () => {
  await using parts = await start()
  const tokens = [
    [BWS, { contract: 'bws', tokenId: 'b' }],
    [IDSCAN, { contract: 'idscan', tokenId: 'i' }],
    [parts.fido, { contract: 'nevisfido', tokenId: digestId(parts.fido) }],
  ] as const
  for (const [token, { contract, tokenId }] of tokens) {
    expect(await parts.enabled.inspect(token)).toMatchObject({ contract })
    expect(await parts.enabled.revoke(token)).toEqual({ contract, tokenId })
    expect(await parts.enabled.inspect(token)).toBeUndefined()
    expect(await parts.enabled.revoke(token)).toBeUndefined()
  }
})

test('treats tokens of a disabled contract as unknown', async () => {
  await using parts = await start()
  for (const token of [BWS, IDSCAN, parts.fido]) {
    expect(await parts.disabled.inspect(token)).toBeUndefined()
    expect(await parts.disabled.revoke(token)).toBeUndefined()
  }
})
