import { z } from 'zod'
import { verifyJws } from '../crypto/jws.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { outsideValidity } from '../validity.ts'
import { decodeTask, type TaskOptions } from './task.ts'
import { type BwsTrait, decodeTraits } from './traits.ts'

const challengeRows = z.array(z.array(z.string()))

const challengeText = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text)
    } catch {
      context.addIssue('not JSON')
      return z.NEVER
    }
  })
  .pipe(challengeRows)

/** The claims of a BWS token, with a challenge in either format (B30). */
const bwsClaims = z.compile(
  z.object({
    tokenid: z.string(),
    clnt: z.string(),
    app: z.string(),
    bcid: z.string(),
    traits: z.int(),
    task: z.int(),
    challenge: z.union([challengeRows, challengeText]).optional(),
    iss: z.string(),
    aud: z.string(),
    exp: z.int(),
    nbf: z.int(),
  }),
)

/** A verified BWS token with decoded claims. */
export interface BwsToken {
  readonly tokenId: string
  /** The `clnt` claim. */
  readonly client: string
  /** The app's id. */
  readonly app: string
  /** Empty for a liveness detection without a BCID (B9). */
  readonly bcid: string
  readonly traits: readonly BwsTrait[]
  readonly options: TaskOptions
  readonly challenge: readonly (readonly string[])[] | undefined
  readonly issuer: string
  readonly audience: string
  /** Seconds since the epoch. */
  readonly notBefore: number
  /** Seconds since the epoch. */
  readonly expires: number
}

/** Which BWS tokens are accepted. */
export interface BwsVerifier {
  readonly keyring: Keyring
  readonly issuer: string
  readonly audience: string
}

type Verification =
  | { readonly token: BwsToken }
  | { readonly refused: 'token_expired' | 'token_not_yet_valid'; readonly token: BwsToken }
  | { readonly refused: 'invalid_token' }

/**
 * Verifies signature, claims, issuer, audience and times of a BWS token (B34). Does not check revocation.
 *
 * @param now milliseconds since the epoch.
 */
export function verifyBwsToken(jws: string, verifier: BwsVerifier, now: number): Verification {
  const { data: claims } = bwsClaims.safeParse(verifyJws(jws, verifier.keyring, now))
  const options = claims && decodeTask(claims.task)
  if (!options || claims.iss !== verifier.issuer || claims.aud !== verifier.audience) {
    return { refused: 'invalid_token' }
  }
  const token = {
    tokenId: claims.tokenid,
    client: claims.clnt,
    app: claims.app,
    bcid: claims.bcid,
    traits: decodeTraits(claims.traits),
    options,
    challenge: claims.challenge,
    issuer: claims.iss,
    audience: claims.aud,
    notBefore: claims.nbf,
    expires: claims.exp,
  }
  const refused = outsideValidity(claims, now)
  return refused ? { refused, token } : { token }
}
