import { type NevisfidoConfiguration, secretSlots } from '../../config/schema.ts'
import type { FidoIssuer } from '../../core/fido/issue.ts'
import type { FidoOperation } from '../../core/fido/operation.ts'
import type { FidoTokens } from '../../core/fido/tokens.ts'
import type { ExpiringCount } from '../../observability/metrics.ts'
import type { BearerIssuer } from './bearer.ts'
import type { ClientAuthenticationOptions } from './callers.ts'
import type { Negotiation } from './negotiation.ts'

export interface NevisfidoOptions extends Omit<ClientAuthenticationOptions, 'clock'> {
  readonly issuer: FidoIssuer
  readonly tokens: FidoTokens
  /** Counts sessions until their token expires. */
  readonly sessions: ExpiringCount
  readonly negotiation: Negotiation
  /** Operations that need credentials. */
  readonly protect: ReadonlySet<FidoOperation>
  /** The credential repository (N12). */
  readonly users: ReadonlySet<string> | '*'
  readonly bearer: BearerIssuer | undefined
}

/** What the configuration says of this contract, every default in place. */
export function createNevisfidoOptions(
  configuration: NevisfidoConfiguration,
  parts: Pick<FidoIssuer, 'store' | 'clock' | 'randomness'>,
): Omit<NevisfidoOptions, 'tokens' | 'sessions' | 'guard' | 'audit'> {
  const { appId, clients, protect, users, negotiation, policies = {}, responseLifetime } = configuration
  return {
    issuer: {
      ...parts,
      appId,
      policies: new Map(Object.entries(policies)),
      tokenLifetime: configuration.tokenLifetime * 1000,
      responseLifetime: {
        registration: responseLifetime.registration * 1000,
        authentication: responseLifetime.authentication * 1000,
        deregistration: responseLifetime.deregistration * 1000,
      },
    },
    clients: new Map(
      clients.map((client) => [
        client.id,
        { id: client.id, secrets: secretSlots(client), users: toUsers(client.users) },
      ]),
    ),
    bearer: configuration.bearer && toBearerIssuer(configuration.bearer),
    protect: new Set(protect),
    users: toUsers(users),
    negotiation,
  }
}

function toUsers(users: '*' | readonly string[]): ReadonlySet<string> | '*' {
  return users === '*' ? '*' : new Set(users)
}

function toBearerIssuer({ issuer, audience, jwksUrl, jwks }: Bearer): BearerIssuer {
  return { issuer, audience, keys: jwksUrl === undefined ? { jwks: jwks ?? { keys: [] } } : { url: jwksUrl } }
}

type Bearer = NonNullable<NevisfidoConfiguration['bearer']>
