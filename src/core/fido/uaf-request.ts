import type { Randomness } from '../randomness.ts'
import { UAF_OPERATIONS } from './operation.ts'

// What stands here is named, spelled and ordered as in the FIDO UAF protocol specification 1.1 (section 3.1 for what the
// three requests share; 3.4, 3.5 and 3.6 for registration, authentication and deregistration).

/** Which authenticators are meant: those of which every member given here is true. */
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

/** `accepted` is a list of alternatives, each a list of authenticators that have to be used together. */
export interface Policy {
  readonly accepted: readonly (readonly MatchCriteria[])[]
  readonly disallowed?: readonly MatchCriteria[] | undefined
}

/** The header of a PNG image; the specification demands it beside the image. */
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

/** What the authenticator shows the user to confirm; `content` is what is shown, not yet encoded. */
export type Transaction =
  | { readonly contentType: 'text/plain'; readonly content: Uint8Array }
  | {
      readonly contentType: 'image/png'
      readonly content: Uint8Array
      readonly tcDisplayPNGCharacteristics: PngCharacteristics
    }

/** What a request is made from. `appId` is the URL of the list of the app's facets. */
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
 * The specification's rules for making a request (in sections 3.4 and 3.5, "Request Generation Rules for FIDO Server")
 * demand `authenticationAlgorithms` and `assertionSchemes` wherever no `aaid` is given, and clients refuse a policy
 * without: so neither `[[{}]]` nor `userVerification` alone will do. Hence every algorithm of the FIDO registry of predefined values, and the one scheme that UAF 1.1 has. One of a
 * list has to match, so names that a client does not know do no harm.
 *
 * `userVerification` is left out, which matches every method. The often seen 1023, every method's flag, does not: it never
 * matches an authenticator that demands several methods at once (USER_VERIFY_ALL), nor those with newer flags.
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

/** Bytes. A challenge may have 8 to 64 (section 3.1, ServerChallenge); N25 says 32. */
const CHALLENGE_LENGTH = 32

/** Bytes. Encoded it is 43 characters, of the 1536 that `serverData` may have (section 3.1, OperationHeader). */
const SERVER_DATA_LENGTH = 32

/**
 * A UAF 1.1 request (N17, N25): JSON text of an array with one element, since there is one for each version of the
 * protocol that is offered. Nothing in it repeats.
 */
export function createUafRequest(details: UafRequestDetails, randomness: Randomness): string {
  const header = {
    upv: { major: 1, minor: 1 },
    op: UAF_OPERATIONS[details.operation],
    appID: details.appId,
    serverData: base64url(randomness.bytes(SERVER_DATA_LENGTH)),
  }
  return JSON.stringify([{ header, ...createMembers(details, randomness) }])
}

function createMembers(details: UafRequestDetails, randomness: Randomness) {
  // An empty AAID with an empty KeyID: all keys that the app has (section 3.6, DeregisterAuthenticator).
  if (details.operation === 'deregistration') return { authenticators: [{ aaid: '', keyID: '' }] }
  const challenge = base64url(randomness.bytes(CHALLENGE_LENGTH))
  const { policy } = details
  if (details.operation === 'registration') return { challenge, username: details.username, policy }
  const transaction = details.transaction?.map((shown) => ({ ...shown, content: base64url(shown.content) }))
  return { challenge, transaction, policy }
}

/** Without padding, as everywhere in UAF (section 1, Notation). */
function base64url({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64url')
}
