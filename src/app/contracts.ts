import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Configuration } from '../config/schema.ts'
import { bwsRoutes } from '../contracts/bws/routes.ts'
import { idscanRoutes } from '../contracts/idscan/routes.ts'
import { nevisfidoRoutes } from '../contracts/nevisfido/routes.ts'
import type { BwsIssuer } from '../core/bws/issue.ts'
import type { PasswordChecker } from '../core/crypto/passwords.ts'
import { createFidoResponses } from '../core/fido/responses.ts'
import type { Guard } from '../core/guard.ts'
import { createIdscanLogin } from '../core/idscan/login.ts'
import type { Revocations } from '../core/revocations.ts'
import type { AuditLog } from '../observability/audit-log.ts'
import type { ExpiringCount } from '../observability/metrics.ts'
import type { Stores } from '../store/open-stores.ts'
import { toBwsApps, toIdscanAccounts, toNevisfidoSettings, toUafRules } from './contract-options.ts'
import type { TokenServices } from './token-services.ts'

export interface ContractDependencies {
  readonly issuer: BwsIssuer
  readonly tokens: TokenServices
  readonly stores: Pick<Stores, 'tokens' | 'credentials'>
  readonly revocations: Revocations
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

type CreateContract = (configuration: Configuration, dependencies: ContractDependencies) => Contract | undefined

/** Every contract that Trimint has. Each returns undefined where its section of the configuration switches it off. */
const CONTRACTS: readonly CreateContract[] = [createBws, createIdscan, createNevisfido]

/** Creates the contracts that the configuration switches on. */
export function createContracts(configuration: Configuration, dependencies: ContractDependencies): Contract[] {
  return CONTRACTS.flatMap((create) => create(configuration, dependencies) ?? [])
}

function createBws({ bws, publicUrl }: Configuration, dependencies: ContractDependencies): Contract | undefined {
  const { issuer, tokens, guard, audit } = dependencies
  if (!bws || !tokens.bws) return undefined
  const apps = toBwsApps(bws, publicUrl)
  return bind('bws', bwsRoutes, { apps, issuer, tokens: tokens.bws, guard, audit })
}

function createIdscan({ idscan, publicUrl }: Configuration, dependencies: ContractDependencies): Contract | undefined {
  const { issuer, tokens, passwords, guard, audit } = dependencies
  if (!idscan || !tokens.idscan) return undefined
  const { usernameCase, lifetime, idleTimeout, requireArea, corsOrigins } = idscan
  return bind('idscan', idscanRoutes, {
    login: createIdscanLogin({ accounts: toIdscanAccounts(idscan), usernameCase, passwords, guard, ...issuer }),
    issuer: { ...issuer, issuer: publicUrl, audience: publicUrl, lifetimeSeconds: lifetime },
    tokens: tokens.idscan,
    audit,
    idleTimeoutSeconds: idleTimeout,
    requireArea,
    corsOrigins: new Set(corsOrigins),
    secure: new URL(publicUrl).protocol === 'https:',
  })
}

function createNevisfido({ nevisfido }: Configuration, dependencies: ContractDependencies): Contract | undefined {
  const { issuer, tokens, stores, revocations, sessions, guard, audit } = dependencies
  if (!nevisfido || !tokens.nevisfido) return undefined
  const settings = toNevisfidoSettings(nevisfido, { store: stores.tokens, revocations, ...issuer })
  const { users } = settings
  const responses = createFidoResponses({
    tokens: tokens.nevisfido,
    store: stores.tokens,
    credentials: stores.credentials,
    rules: toUafRules(nevisfido),
    isKnownUser: (username) => users === '*' || users.has(username),
    clock: issuer.clock,
  })
  return bind('nevisfido', nevisfidoRoutes, {
    ...settings,
    tokens: tokens.nevisfido,
    responses,
    sessions,
    guard,
    audit,
  })
}

function bind<Options extends object>(
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
