import { z } from 'zod'
import { BWS_TASKS } from '../core/bws/task.ts'
import { BWS_TRAITS } from '../core/bws/traits.ts'
import type { BwsToken } from '../core/bws/verify.ts'
import { numericDate } from '../core/clock.ts'
import { FIDO_OPERATIONS } from '../core/fido/operation.ts'
import { IDSCAN_AREAS } from '../core/idscan/account.ts'
import type { IdscanClaims } from '../core/idscan/verify.ts'
import type { Inspection } from '../core/lifecycle.ts'
import type { TokenRecord } from '../core/ports/token-store.ts'

const seconds = (description: string) => z.int().meta({ description: `${description} Seconds since the epoch.` })

const bwsDetails = z.object({
  contract: z.literal('bws'),
  task: z.enum(BWS_TASKS),
  client: z.string().meta({ description: 'The name of the client.' }),
  triesAllowed: z.int().min(1).max(15),
  triesLeft: z.int().min(1).max(15),
  liveDetection: z.boolean(),
  challenge: z.array(z.array(z.string())).optional().meta({ description: 'One row of head movements for each try.' }),
  autoEnroll: z.boolean(),
  traits: z.array(z.enum(BWS_TRAITS)),
  bcid: z.string().optional(),
})

const idscanDetails = z.object({
  contract: z.literal('idscan'),
  area: z.enum(IDSCAN_AREAS).optional(),
  role: z.string().optional(),
  fullName: z.string().optional(),
  tenant: z.string().optional(),
})

const nevisfidoDetails = z.object({
  contract: z.literal('nevisfido'),
  operation: z.enum(FIDO_OPERATIONS),
  state: z.literal('created').meta({ description: 'State of the token.' }),
  status: z.literal('tokenCreated').meta({ description: 'Status of its session.' }),
})

/** A valid token (RFC 7662 section 2.2). Members without a value are absent. */
export const activeToken = z.object({
  active: z.literal(true),
  token_type: z.literal('bearer'),
  iss: z.string(),
  sub: z.string().optional().meta({ description: 'The App-ID, the login name or the nevisFIDO user.' }),
  aud: z.string(),
  client_id: z.string().optional().meta({ description: 'The App-ID or the nevisFIDO client.' }),
  iat: seconds('Issued at.').optional(),
  nbf: seconds('Not valid before.').optional(),
  exp: seconds('Expires at.'),
  jti: z.string().meta({ description: 'The token id, as in the audit log.' }),
  trimint: z.discriminatedUnion('contract', [bwsDetails, idscanDetails, nevisfidoDetails]),
})

export const inactiveToken = z.object({ active: z.literal(false) })

export type Introspection = z.output<typeof activeToken> | z.output<typeof inactiveToken>

/** Issuer and audience in the introspection of opaque tokens, which have no claims. */
export interface Origin {
  readonly issuer: string
  /** The nevisFIDO appId. */
  readonly audience: string
}

/** Returns the introspection reply for a token (RFC 7662). */
export function toIntrospection(inspection: Inspection | undefined, origin: Origin): Introspection {
  switch (inspection?.contract) {
    case 'bws':
      return describeBws(inspection.token, inspection.triesLeft)
    case 'idscan':
      return describeIdscan(inspection.claims)
    case 'nevisfido':
      return describeFido(inspection.record, origin)
    case undefined:
      return { active: false }
  }
}

function describeBws(token: BwsToken, triesLeft: number): Introspection {
  const { task, maxtries, livedetection, autoenroll } = token.options
  return {
    active: true,
    token_type: 'bearer',
    iss: token.issuer,
    sub: token.app,
    aud: token.audience,
    client_id: token.app,
    nbf: token.notBefore,
    exp: token.expires,
    jti: token.tokenId,
    trimint: {
      contract: 'bws',
      task,
      client: token.client,
      triesAllowed: maxtries,
      triesLeft,
      liveDetection: livedetection,
      challenge: token.challenge?.map((row) => [...row]),
      autoEnroll: autoenroll,
      traits: [...token.traits],
      bcid: token.bcid || undefined,
    },
  }
}

function describeIdscan({ jti, sub, name, role, area, tenant, iss, aud, iat, nbf, exp }: IdscanClaims): Introspection {
  const trimint = { contract: 'idscan', area, role, fullName: name, tenant } as const
  return { active: true, token_type: 'bearer', iss, sub, aud, iat, nbf, exp, jti, trimint }
}

function describeFido(record: TokenRecord, { issuer, audience }: Origin): Introspection {
  return {
    active: true,
    token_type: 'bearer',
    iss: issuer,
    sub: record.username,
    aud: audience,
    client_id: record.client,
    iat: numericDate(record.createdAt),
    exp: numericDate(record.expiresAt),
    jti: record.tokenDigest,
    trimint: { contract: 'nevisfido', operation: record.operation, state: 'created', status: 'tokenCreated' },
  }
}
