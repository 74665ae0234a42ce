import type { Randomness } from '../randomness.ts'
import { UAF_OPERATIONS } from './operation.ts'

// Names, spelling and order follow the FIDO UAF protocol specification 1.1: section 3.1 for the common parts; 3.4, 3.5
// and 3.6 for registration, authentication and deregistration.

/** Criteria that an authenticator matches where it matches every member. */
interface MatchCriteria {
  readonly aaid?: readonly string[] | undefined
  readonly vendorID?: readonly string[] | undefined
  readonly keyIDs?: readonly string[] | undefined
  readonly userVerification?: number | undefined
  readonly keyProtection?: number | undefined
  readonly matcherProtection?: number | undefined
  readonly attachmentHint?: number | undefined
  readonly tcDisplay?: number | undefined
  readonly authenticationAlgorithms?: readonly number[] | undefined
  readonly assertionSchemes?: readonly string[] | undefined
  readonly attestationTypes?: readonly number[] | undefined
  readonly authenticatorVersion?: number | undefined
}

/** A policy. `accepted` lists alternatives; each lists authenticators to use together. */
export interface Policy {
  readonly accepted: readonly (readonly MatchCriteria[])[]
  readonly disallowed?: readonly MatchCriteria[] | undefined
}

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
  | { readonly operation: 'deregistration'; readonly appId: string }

/**
 * Accepts every authenticator.
 *
 * Without an `aaid`, clients reject a policy that lacks `authenticationAlgorithms` or `assertionSchemes` (sections 3.4
 * and 3.5, "Request Generation Rules for FIDO Server"). So it lists every algorithm of the FIDO registry of predefined
 * values, and UAF 1.1's only scheme. One listed value has to match, so values that a client does not know do no harm.
 *
 * `userVerification` is left out, which matches every method. The common value 1023, every method's flag, would exclude
 * authenticators that require several methods at once (USER_VERIFY_ALL) and those with newer flags.
 */
export const DEFAULT_POLICY: Policy = {
  accepted: [
    [
      {
        authenticationAlgorithms: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
        assertionSchemes: ['UAFV1TLV'],
      },
    ],
  ],
}

/** A challenge has 8 to 64 bytes (section 3.1, ServerChallenge); N25 requires 32. */
const CHALLENGE_BYTES = 32

/** 43 characters once encoded; `serverData` may have 1536 (section 3.1, OperationHeader). */
const SERVER_DATA_BYTES = 32

/**
 * Creates a UAF 1.1 request (N17, N25): JSON text of an array with one element for the one protocol version offered.
 * Challenge and server data are random.
 */
export function createUafRequest(details: UafRequestDetails, randomness: Randomness): string {
  const header = {
    upv: { major: 1, minor: 1 },
    op: UAF_OPERATIONS[details.operation],
    appID: details.appId,
    serverData: base64url(randomness.bytes(SERVER_DATA_BYTES)),
  }
  return JSON.stringify([{ header, ...createMembers(details, randomness) }])
}

function createMembers(details: UafRequestDetails, randomness: Randomness) {
  // Empty AAID and KeyID select all keys of the app (section 3.6, DeregisterAuthenticator).
  if (details.operation === 'deregistration') return { authenticators: [{ aaid: '', keyID: '' }] }
  const challenge = base64url(randomness.bytes(CHALLENGE_BYTES))
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
