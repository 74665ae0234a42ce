import type { Randomness } from '../randomness.ts'
import { SIGNATURE_ALGORITHMS } from '../uaf/keys/algorithms.ts'
import { ASSERTION_SCHEME, type Policy } from '../uaf/policy.ts'
import { UAF_OPERATIONS } from './operation.ts'

// Names, spelling and order follow the FIDO UAF protocol specification 1.1: section 3.1 for the common parts; 3.4, 3.5
// and 3.6 for registration, authentication and deregistration.

/** The header of a PNG image. The specification requires it beside the image. */
export interface PngCharacteristics {
  /** Pixels. */
  readonly width: number
  /** Pixels. */
  readonly height: number
  readonly bitDepth: number
  readonly colorType: number
  readonly compression: number
  readonly filter: number
  readonly interlace: number
}

/** What the authenticator shows the user to confirm. `content` is not encoded. */
export type Transaction =
  | { readonly contentType: 'text/plain'; readonly content: Uint8Array }
  | {
      readonly contentType: 'image/png'
      readonly content: Uint8Array
      readonly tcDisplayPNGCharacteristics: PngCharacteristics
    }

/** The input of a request. `appId` is the URL of the app's list of facets. */
export type UafRequestDetails =
  | {
      readonly operation: 'registration'
      readonly appId: string
      readonly username: string
      readonly policy: Policy
    }
  | {
      readonly operation: 'authentication'
      readonly appId: string
      readonly policy: Policy
      readonly transaction?: readonly Transaction[] | undefined
    }
  | {
      readonly operation: 'deregistration'
      readonly appId: string
      readonly authenticators: readonly DeregisteredAuthenticator[]
    }

/** Keys to delete: an empty `keyID` selects all keys of the AAID, an empty `aaid` all keys (section 3.6). */
export interface DeregisteredAuthenticator {
  readonly aaid: string
  readonly keyID: string
}

/** Selects all keys of the app. */
export const ALL_KEYS: readonly DeregisteredAuthenticator[] = [{ aaid: '', keyID: '' }]

/**
 * Accepts every authenticator.
 *
 * Without an `aaid`, clients reject a policy that lacks `authenticationAlgorithms` or `assertionSchemes` (sections 3.4
 * and 3.5, "Request Generation Rules for FIDO Server"). So it lists every algorithm that can be verified, and UAF 1.1's
 * only scheme.
 *
 * `userVerification` is left out, which matches every method. The common value 1023, every method's flag, would exclude
 * authenticators that require several methods at once (USER_VERIFY_ALL) and those with newer flags.
 */
export const DEFAULT_POLICY: Policy = {
  accepted: [
    [
      {
        authenticationAlgorithms: SIGNATURE_ALGORITHMS,
        assertionSchemes: [ASSERTION_SCHEME],
      },
    ],
  ],
}

/** A challenge has 8 to 64 bytes (section 3.1, ServerChallenge); N25 requires 32. */
const CHALLENGE_BYTES = 32

/** With the token's digest before them, `serverData` has 86 of at most 1536 characters (section 3.1, OperationHeader). */
const SERVER_SECRET_BYTES = 32

/** SHA-256. */
const DIGEST_BYTES = 32

/**
 * Creates a UAF 1.1 request (N17, N25): JSON text of an array with one element for the one protocol version offered.
 * Challenge and server data are random. The keys of the user are added at redemption: {@link addKeys}.
 *
 * @param tokenDigest begins the server data, so that a response leads to its session.
 */
export function createUafRequest(details: UafRequestDetails, tokenDigest: string, randomness: Randomness): string {
  // One draw for both: a draw takes longer than anything else here.
  const random = randomness.bytes(SERVER_SECRET_BYTES + CHALLENGE_BYTES)
  const header = {
    upv: { major: 1, minor: 1 },
    op: UAF_OPERATIONS[details.operation],
    appID: details.appId,
    serverData: base64url(
      Buffer.concat([Buffer.from(tokenDigest, 'base64url'), random.subarray(0, SERVER_SECRET_BYTES)]),
    ),
  }
  return JSON.stringify([{ header, ...createMembers(details, random.subarray(SERVER_SECRET_BYTES)) }])
}

/** Returns the digest of the token that server data begins with. */
export function tokenDigestOf(serverData: string): string {
  return base64url(Buffer.from(serverData, 'base64url').subarray(0, DIGEST_BYTES))
}

function createMembers(details: UafRequestDetails, random: Uint8Array) {
  if (details.operation === 'deregistration') return { authenticators: details.authenticators }
  const challenge = base64url(random)
  const { policy } = details
  if (details.operation === 'registration') return { challenge, username: details.username, policy }
  const transaction = details.transaction?.map((alternative) => ({
    ...alternative,
    content: base64url(alternative.content),
  }))
  return { challenge, transaction, policy }
}

/** Encodes base64url without padding (section 1, Notation). */
function base64url({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64url')
}
