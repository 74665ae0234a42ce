import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { FIDO_OPERATIONS } from '../../core/fido/operation.ts'
import { foldAaid } from '../../core/uaf/aaid.ts'
import { MIN_RSA_BITS, rsaBits } from '../pem.ts'
import { appId, expected, jwksUrl, label, seconds, text, wholeNumber } from '../value-schemas.ts'
import { listOf, oneOf, uniqueList, wildcardOr } from './combinators.ts'
import { withSecrets } from './credentials.ts'
import { metadataStatement } from './uaf-metadata.ts'

/** FIDO UAF 1.1 protocol, section 3.1.5: MatchCriteria. */
const matchCriteria = z.strictObject({
  aaid: z.array(z.string()).optional(),
  vendorID: z.array(z.string()).optional(),
  keyIDs: z.array(z.string()).optional(),
  userVerification: z.int().optional(),
  keyProtection: z.int().optional(),
  matcherProtection: z.int().optional(),
  attachmentHint: z.int().optional(),
  tcDisplay: z.int().optional(),
  authenticationAlgorithms: z.array(z.int()).optional(),
  assertionSchemes: z.array(z.string()).optional(),
  attestationTypes: z.array(z.int()).optional(),
  authenticatorVersion: z.int().optional(),
})

/** FIDO UAF 1.1 protocol, section 3.1.6: Policy. */
const policy = z.strictObject({
  accepted: z.array(z.array(matchCriteria).min(1)).min(1),
  disallowed: z.array(matchCriteria).optional(),
})

/** RFC 7517. */
const publicKey = z.looseObject({ kty: oneOf('RSA', 'EC', 'OKP') }).superRefine((jwk, context) => {
  const key = parsePublicKey(jwk)
  if (!key) {
    context.addIssue({ code: 'custom', message: 'malformed key; expected a public key as a JSON Web Key (RFC 7517)' })
  } else if (rsaBits(key) < MIN_RSA_BITS) {
    context.addIssue({ code: 'custom', message: `short RSA key; expected ${MIN_RSA_BITS} bits or more` })
  }
})

function parsePublicKey(jwk: Readonly<Record<string, unknown>>): KeyObject | undefined {
  // Node would derive the public key of a private one, which verifies no JWT.
  if (jwk.d !== undefined) return undefined
  try {
    return createPublicKey({ key: jwk as JsonWebKeyInput['key'], format: 'jwk' })
  } catch {
    return undefined
  }
}

const bearer = z
  .strictObject({
    issuer: label.meta({ description: 'Required claim `iss` of the JWT.' }),
    audience: label.meta({ description: 'Required claim `aud` of the JWT.' }),
    leeway: seconds('0s', '5m').prefault('5s').meta({
      description: "How long before `nbf` and after `exp` a JWT is accepted, since the issuer's clock may differ.",
    }),
    jwksUrl: jwksUrl
      .optional()
      .meta({ description: "URL of the issuer's public keys. Either `jwksUrl` or `jwks` is required." }),
    jwks: z
      .strictObject({ keys: z.array(publicKey).min(1) })
      .optional()
      .meta({ type: 'a JSON Web Key Set (RFC 7517)', description: "The issuer's public keys." }),
  })
  .refine(({ jwks, jwksUrl: url }) => (jwks === undefined) !== (url === undefined), {
    message: "no single source of the issuer's keys; expected either jwksUrl or jwks",
  })

const operation = oneOf(...FIDO_OPERATIONS)
const users = wildcardOr(text('1 to 128 characters', /^.{1,128}$/su), '"*", or a list of user names')
const client = withSecrets({
  users: users.meta({ description: 'Users for whom the client may request tokens; `"*"` allows every user.' }),
})
/** At most as long as records are kept after they expire: an earlier removal would lose a status before it is final. */
const responseLifetime = seconds('1s', '1h')

/** The largest body that any route accepts. */
const MAX_BODY_BYTES = 64 * 1024

/** nevisFIDO's services: create, redeem and status of tokens, and the requests and responses of UAF clients. */
export const nevisfido = z.strictObject({
  appId: appId.meta({ description: 'FIDO AppID in UAF requests: the URL of the facet list.' }),
  negotiation: oneOf('strict', 'lenient').default('strict').meta({
    description: '`lenient` also accepts a missing `Accept` header, `*/*`, and a missing charset.',
  }),
  protect: listOf(operation, `a list of ${FIDO_OPERATIONS.join(', ')}`)
    .default(['registration', 'deregistration'])
    .meta({ description: 'Operations for which a caller needs credentials to create a token.' }),
  anonymous: z
    .strictObject({
      maxTokens: wholeNumber(1, 1_000_000_000).default(100_000).meta({
        description: 'Tokens that the store holds at most. It holds each for `tokenLifetime` and one hour.',
      }),
      maxBytes: wholeNumber(1, 1_000_000_000_000)
        .default(64 * 1024 * 1024)
        .meta({ description: 'Bytes of their UAF requests that the store holds at most.' }),
      maxContextBytes: wholeNumber(1, MAX_BODY_BYTES).default(2048).meta({
        description: 'Bytes of `context`, beyond which it is refused with 1498.',
      }),
    })
    .prefault({})
    .meta({
      description:
        'Limits for callers without credentials, all together: see [scaling.md](scaling.md#capacity). Beyond them, a creation gets 1500.',
    }),
  tokenLifetime: seconds('1s', '1d').prefault('5m').meta({ description: 'Time within which a token can be redeemed.' }),
  responseLifetime: z
    .strictObject({
      registration: responseLifetime.prefault('5m').meta({ description: 'For a registration.' }),
      authentication: responseLifetime.prefault('2m').meta({ description: 'For an authentication.' }),
      deregistration: responseLifetime.prefault('2m').meta({ description: 'For a deregistration.' }),
    })
    .prefault({})
    .meta({
      description:
        'Time after redemption in which the FIDO client responds to its service. Afterwards the status is `failed`.',
    }),
  clients: uniqueList(client, 'id').default([]).meta({ description: 'Clients that authenticate with HTTP Basic.' }),
  bearer: bearer.optional().meta({
    description: 'Callers that authenticate with a JWT of an issuer instead. They act for the user in its claim `sub`.',
  }),
  users: users.meta({ description: 'The credential repository: known user names; `"*"` accepts every name.' }),
  facets: listOf(
    text('a facet id such as https://app.example.com or android:apk-key-hash:…, at most 512 characters', /^\S{1,512}$/),
    'a list of facet ids',
  )
    .min(1, expected('at least one facet id'))
    .optional()
    .meta({ description: 'Apps and web origins that may use the AppID. Without it: the origin of `appId`.' }),
  metadata: uniqueList(metadataStatement, 'aaid', (aaid) => (typeof aaid === 'string' ? foldAaid(aaid) : aaid))
    .default([])
    .meta({
      type: 'a list of UAF metadata statements, each inline or as `file:` of its JSON',
      description:
        'What is known of models of authenticators. A statement with root certificates requires attestation.',
    }),
  attestation: oneOf('surrogate', 'basic').optional().meta({
    description:
      '`basic` registers only keys of authenticators with a statement in `metadata`, attested by their vendor. Default: `basic` in production, otherwise `surrogate`.',
  }),
  policies: z.record(label, policy).optional().meta({
    type: 'policies by name (FIDO UAF 1.1 protocol, section 3.1.6)',
    description: 'UAF policies. `default` applies to requests that name none.',
  }),
})
