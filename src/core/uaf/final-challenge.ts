import { z } from 'zod'
import { decodeBase64url } from './base64url.ts'
import { demand } from './failure.ts'
import { parseJson, readValid } from './response.ts'

/** FinalChallengeParams (FIDO UAF 1.1 protocol, section 3.1.8). Unknown members are ignored. */
const finalChallenge = z.compile(
  z.object({
    appID: z.string(),
    challenge: z.string(),
    facetID: z.string(),
    // TLS ends before Trimint, so that there is nothing to compare it with.
    channelBinding: z.record(z.string(), z.string()),
  }),
)

/** What the request and the configuration require. */
export interface ExpectedChallenge {
  readonly appId: string
  readonly challenge: string
  /** Folded: {@link foldFacet}. */
  readonly facets: ReadonlySet<string>
}

// Rejects invalid UTF-8, like the bodies of requests.
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Verifies `fcParams` (U15).
 *
 * @throws UafError `bad_final_challenge`, `unknown_facet` or `wrong_challenge`.
 */
export function verifyFinalChallenge(fcParams: string, { appId, challenge, facets }: ExpectedChallenge): void {
  const bytes = decodeBase64url(fcParams)
  const data = readValid(finalChallenge, bytes && parseJson(decodeText(bytes)))
  demand(data?.appID === appId, 'bad_final_challenge')
  demand(facets.has(foldFacet(data.facetID)), 'unknown_facet')
  demand(data.challenge === challenge, 'wrong_challenge')
}

function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    return ''
  }
}

const WEB_ORIGIN = /^https:\/\/[^/]*\/?$/i

/** Returns the form in which facets are compared: web origins without regard to case and to a last slash. */
export function foldFacet(facet: string): string {
  return WEB_ORIGIN.test(facet) ? facet.toLowerCase().replace(/\/$/, '') : facet
}
