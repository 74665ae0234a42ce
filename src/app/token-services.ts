import type { Configuration } from '../config/schema.ts'
import { type BwsTokens, createBwsTokens } from '../core/bws/tokens.ts'
import type { Clock } from '../core/clock.ts'
import type { Keyring } from '../core/crypto/keyring.ts'
import { createFidoTokens, type FidoTokens } from '../core/fido/tokens.ts'
import { createIdleTimeout, type IdleTimeout } from '../core/idscan/idle.ts'
import { createIdscanTokens, type IdscanTokens } from '../core/idscan/tokens.ts'
import { createLifecycle, type Lifecycle } from '../core/lifecycle.ts'
import type { Revocations } from '../core/revocations.ts'
import type { Origin } from '../endpoints/introspection-reply.ts'
import type { Stores } from '../store/open-stores.ts'
import { bwsAudience, toIdscanAccounts, toUafRules } from './contract-options.ts'

/** Operations on issued tokens, for each enabled contract and across all of them. */
export interface TokenServices {
  readonly bws: BwsTokens | undefined
  readonly idscan: IdscanTokens | undefined
  readonly nevisfido: FidoTokens | undefined
  readonly idleTimeout: IdleTimeout | undefined
  readonly lifecycle: Lifecycle
  readonly origin: Origin
}

interface TokenServicesDependencies {
  readonly keyring: Keyring
  readonly stores: Stores
  readonly revocations: Revocations
  readonly clock: Clock
}

/** Creates the token services of a configuration, for the server and for the command line. */
export function createTokenServices(
  configuration: Configuration,
  dependencies: TokenServicesDependencies,
): TokenServices {
  const { publicUrl } = configuration
  const { keyring, stores, revocations, clock } = dependencies
  const bws = configuration.bws || undefined
  const bwsTokens =
    bws &&
    createBwsTokens({
      verifier: { keyring, issuer: bws.issuer, audience: bwsAudience(bws, publicUrl) },
      apps: new Set(bws.apps.map(({ id }) => id)),
      revocations,
      uses: stores.uses,
      clock,
    })
  const idscan = configuration.idscan || undefined
  const idleTimeout = idscan?.enforceIdleTimeout ? createIdleTimeout(idscan.idleTimeout, stores.uses, clock) : undefined
  const idscanTokens =
    idscan &&
    createIdscanTokens({
      verifier: { keyring, issuer: publicUrl, audience: publicUrl },
      accounts: new Map(toIdscanAccounts(idscan).map((account) => [account.username, account])),
      revocations,
      idleTimeout,
      clock,
    })
  const nevisfido = configuration.nevisfido || undefined
  const { tokens: store, credentials } = stores
  const rules = nevisfido && toUafRules(nevisfido)
  const fidoTokens = rules && createFidoTokens({ store, credentials, ...rules, revocations, clock })
  const tokens = { bws: bwsTokens, idscan: idscanTokens, nevisfido: fidoTokens }
  return {
    ...tokens,
    idleTimeout,
    lifecycle: createLifecycle({ ...tokens, revocations, clock }),
    origin: { issuer: publicUrl, audience: nevisfido?.appId ?? publicUrl },
  }
}

/** Returns the names of the contracts that a configuration switches on. */
export function enabledContracts(configuration: Configuration) {
  return (['bws', 'idscan', 'nevisfido'] as const).filter((name) => configuration[name])
}
