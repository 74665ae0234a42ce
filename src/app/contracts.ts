import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Configuration } from '../config/schema.ts'
import { bwsRoutes } from '../contracts/bws/routes.ts'
import { idscanRoutes } from '../contracts/idscan/routes.ts'
import { nevisfidoRoutes } from '../contracts/nevisfido/routes.ts'
import type { BwsIssuer } from '../core/bws/issue.ts'
import type { PasswordChecker } from '../core/crypto/passwords.ts'
import type { Guard } from '../core/guard.ts'
import { createIdscanLogin } from '../core/idscan/login.ts'
import type { TokenStore } from '../core/ports/token-store.ts'
import type { AuditLog } from '../observability/audit-log.ts'
import type { ExpiringCount } from '../observability/metrics.ts'
import { toBwsApps, toIdscanAccounts, toNevisfidoSettings } from './contract-options.ts'
import type { TokenServices } from './token-services.ts'

export interface ContractDependencies {
  readonly issuer: BwsIssuer
  readonly tokens: TokenServices
  readonly tokenStore: TokenStore
  readonly passwords: PasswordChecker
  readonly sessions: ExpiringCount
  readonly guard: Guard
  readonly audit: AuditLog
}

/** A contract that is switched on, its options bound to its routes. */
export interface Contract {
  readonly name: string
  register(app: FastifyInstance): Promise<void>
}

/** Creates the contracts that the configuration switches on. */
export function createContracts(configuration: Configuration, dependencies: ContractDependencies): Contract[] {
  const { publicUrl, bws, idscan, nevisfido } = configuration
  const { issuer, tokens, tokenStore, passwords, sessions, guard, audit } = dependencies
  const contracts: Contract[] = []
  if (bws && tokens.bws) {
    const options = { apps: toBwsApps(bws, publicUrl), issuer, tokens: tokens.bws, guard, audit }
    contracts.push(contract('bws', bwsRoutes, options))
  }
  if (idscan && tokens.idscan) {
    const { usernameCase, lifetime, idleTimeout, requireArea, corsOrigins } = idscan
    const options = {
      login: createIdscanLogin({ accounts: toIdscanAccounts(idscan), usernameCase, passwords, guard, ...issuer }),
      issuer: { ...issuer, issuer: publicUrl, audience: publicUrl, lifetime },
      tokens: tokens.idscan,
      audit,
      idleTimeout,
      requireArea,
      corsOrigins: new Set(corsOrigins),
      secure: new URL(publicUrl).protocol === 'https:',
    }
    contracts.push(contract('idscan', idscanRoutes, options))
  }
  if (nevisfido && tokens.nevisfido) {
    const settings = toNevisfidoSettings(nevisfido, { store: tokenStore, ...issuer })
    const options = { ...settings, tokens: tokens.nevisfido, sessions, guard, audit }
    contracts.push(contract('nevisfido', nevisfidoRoutes, options))
  }
  return contracts
}

function contract<Options extends object>(
  name: string,
  routes: FastifyPluginAsync<Options>,
  options: NoInfer<Options>,
): Contract {
  return {
    name,
    async register(app) {
      await app.register(async (scope) => routes(scope, options))
    },
  }
}
