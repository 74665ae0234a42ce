import { X509Certificate } from 'node:crypto'
import {
  type BwsConfiguration,
  type Configuration,
  type IdscanConfiguration,
  type NevisfidoConfiguration,
  secretSlots,
} from '../config/schema.ts'
import type { BearerIssuer, NevisfidoOptions, Users } from '../contracts/nevisfido/options.ts'
import type { BwsApp } from '../core/bws/issue.ts'
import type { FidoIssuer } from '../core/fido/issue.ts'
import type { IdscanAccount } from '../core/idscan/account.ts'
import { foldFacet } from '../core/uaf/final-challenge.ts'
import { createMetadata, findStatement, type MetadataStatement } from '../core/uaf/metadata.ts'
import type { UafRules } from '../core/uaf/verdict.ts'

// Maps sections of the configuration, their defaults in place, to the plain options of contracts and endpoints.

/** Returns the configured apps by App-ID. */
export function toBwsApps(configuration: BwsConfiguration, publicUrl: string): ReadonlyMap<string, BwsApp> {
  const { issuer, lifetime, challengeClaim } = configuration
  const audience = bwsAudience(configuration, publicUrl)
  const apps = configuration.apps.map((app): [string, BwsApp] => [
    app.id,
    {
      id: app.id,
      secrets: secretSlots(app),
      client: app.client ?? app.id,
      issuer,
      audience,
      lifetimeSeconds: app.lifetime ?? lifetime,
      challengeClaim: app.challengeClaim ?? challengeClaim,
      tasks: new Set(app.tasks),
      partitions: toSet(app.bcids),
    },
  ])
  return new Map(apps)
}

/** Returns the `aud` of BWS tokens. The vendor's has no path, so the one of publicUrl is dropped (B25). */
export function bwsAudience({ audience }: BwsConfiguration, publicUrl: string): string {
  return audience ?? new URL(publicUrl).origin
}

export function toIdscanAccounts({ accounts }: IdscanConfiguration): IdscanAccount[] {
  return accounts.map((account) => ({ ...account, areas: new Set(account.areas) }))
}

type NevisfidoSettings = Omit<NevisfidoOptions, 'tokens' | 'responses' | 'sessions' | 'guard' | 'audit'>

export function toNevisfidoSettings(
  configuration: NevisfidoConfiguration,
  dependencies: Pick<FidoIssuer, 'store' | 'revocations' | 'clock' | 'randomness'>,
): NevisfidoSettings {
  const { appId, clients, bearer, protect, users, negotiation, policies = {}, responseLifetime } = configuration
  const { maxTokens, maxBytes, maxContextBytes } = configuration.anonymous
  return {
    facets: facetsOf(configuration),
    issuer: {
      ...dependencies,
      appId,
      policies: new Map(Object.entries(policies)),
      anonymousLimit: { maxRecords: maxTokens, maxBytes },
      tokenLifetimeMs: configuration.tokenLifetime * 1000,
      responseLifetimeMs: {
        registration: responseLifetime.registration * 1000,
        authentication: responseLifetime.authentication * 1000,
        deregistration: responseLifetime.deregistration * 1000,
      },
    },
    clients: new Map(
      clients.map((client) => [client.id, { secrets: secretSlots(client), users: toSet(client.users) }]),
    ),
    bearer: bearer && toBearerIssuer(bearer),
    protect: new Set(protect),
    maxAnonymousContextBytes: maxContextBytes,
    users: toSet(users),
    negotiation,
  }
}

/** Returns what responses of FIDO clients are verified by. */
export function toUafRules(configuration: NevisfidoConfiguration): UafRules {
  const { appId, attestation = 'surrogate' } = configuration
  const metadata = createMetadata(configuration.metadata.map(toStatement))
  return {
    appId,
    facets: new Set(facetsOf(configuration).map(foldFacet)),
    findStatement: (aaid) => findStatement(metadata, aaid),
    attestation,
  }
}

function facetsOf({ facets, appId }: NevisfidoConfiguration): readonly string[] {
  return facets ?? [new URL(appId).origin]
}

function toStatement(statement: NevisfidoConfiguration['metadata'][number]): MetadataStatement {
  const roots = statement.attestationRootCertificates.map(
    (base64) => new X509Certificate(Buffer.from(base64, 'base64')),
  )
  return { ...statement, roots }
}

function toBearerIssuer({
  issuer,
  audience,
  jwksUrl,
  jwks,
  leeway,
}: NonNullable<NevisfidoConfiguration['bearer']>): BearerIssuer {
  const keys = jwksUrl === undefined ? { jwks: jwks ?? { keys: [] } } : { url: jwksUrl }
  return { issuer, audience, keys, leewaySeconds: leeway }
}

export function toResourceServers({ resourceServers }: Configuration) {
  return new Map(resourceServers.map((server) => [server.id, { secrets: secretSlots(server) }]))
}

function toSet(names: '*' | readonly string[]): Users {
  return names === '*' ? '*' : new Set(names)
}
