import type { JSONWebKeySet } from 'jose'
import type { SecretSlot } from '../../core/crypto/secrets.ts'
import type { FidoIssuer } from '../../core/fido/issue.ts'
import type { FidoOperation } from '../../core/fido/operation.ts'
import type { FidoResponses } from '../../core/fido/responses.ts'
import type { FidoTokens } from '../../core/fido/tokens.ts'
import type { Guard } from '../../core/guard.ts'
import type { AuditLog } from '../../observability/audit-log.ts'
import type { ExpiringCount } from '../../observability/metrics.ts'

export interface NevisfidoOptions {
  readonly issuer: FidoIssuer
  readonly tokens: FidoTokens
  readonly responses: FidoResponses
  /** Apps and web origins that may use the AppID (U3). */
  readonly facets: readonly string[]
  /** Counts sessions until their token expires. */
  readonly sessions: ExpiringCount
  readonly negotiation: Negotiation
  /** Operations that require credentials. */
  readonly protect: ReadonlySet<FidoOperation>
  /** Bytes of the largest `context` of a caller without credentials (N10). */
  readonly maxAnonymousContextBytes: number
  /** The credential repository (N12). */
  readonly users: Users
  /** By id. */
  readonly clients: ReadonlyMap<string, Client>
  readonly bearer: BearerIssuer | undefined
  readonly guard: Guard
  readonly audit: AuditLog
}

/** As the vendor documents it, or as its framework, Spring MVC, does it (N6). */
export type Negotiation = 'strict' | 'lenient'

/** User names, or `*` for all. */
export type Users = ReadonlySet<string> | '*'

/** A caller that authenticates with HTTP Basic. */
interface Client {
  readonly secrets: readonly SecretSlot[]
  /** The users that it may act for. */
  readonly users: Users
}

/** The issuer whose JWTs authenticate callers. */
export interface BearerIssuer {
  readonly issuer: string
  readonly audience: string
  /** How early or late a JWT may be, since its issuer's clock differs. */
  readonly leewaySeconds: number
  readonly keys: { readonly url: string } | { readonly jwks: JSONWebKeySet }
}
