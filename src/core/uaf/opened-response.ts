import { type KeyName, keyOf } from './aaid.ts'
import type { SignedFields } from './assertion/fields.ts'
import { type Element, parseTlv } from './assertion/tlv.ts'
import { decodeBase64url } from './base64url.ts'
import { demand, UafError, type UafFailure } from './failure.ts'
import { type ExpectedChallenge, verifyFinalChallenge } from './final-challenge.ts'
import { ASSERTION_SCHEME } from './policy.ts'
import { type EncodedAssertion, requiresExtension, type UafResponse } from './response.ts'

/** An assertion that was parsed, or why it fails. */
export type Opened<Assertion> = { readonly assertion: Assertion } | { readonly failure: UafFailure }

/**
 * Verifies what all assertions of a response share, and parses the assertions (U14 to U19).
 *
 * @param read reads the operation's kind of assertion.
 * @throws UafError where the whole response fails.
 */
export function openResponse<Assertion extends SignedFields>(
  { header, fcParams, assertions }: UafResponse,
  expected: ExpectedChallenge,
  read: (element: Element) => Assertion,
): Opened<Assertion>[] {
  const isOurs = header.upv.major === 1 && header.upv.minor === 1 && header.appID === expected.appId
  demand(isOurs && !requiresExtension(header.exts), 'bad_response_header')
  verifyFinalChallenge(fcParams, expected)
  demand(assertions.length > 0, 'no_assertion')
  const opened = assertions.map((encoded) => attempt(() => ({ assertion: read(decode(encoded)) })))
  refuseRepeated(namesOf(opened))
  return opened
}

const MAX_ASSERTION_BYTES = 4096

function decode({ assertionScheme, assertion, exts }: EncodedAssertion): Element {
  const bytes = decodeBase64url(assertion)
  demand(!requiresExtension(exts) && assertionScheme === ASSERTION_SCHEME, 'bad_assertion')
  demand(bytes && bytes.length > 0 && bytes.length <= MAX_ASSERTION_BYTES, 'bad_assertion')
  return parseTlv(bytes)
}

/** Returns the names of the keys in assertions that were parsed. */
export function namesOf(opened: readonly Opened<KeyName>[]): KeyName[] {
  return opened.flatMap((result) => ('assertion' in result ? [result.assertion] : []))
}

/** U28. */
function refuseRepeated(names: readonly KeyName[]): void {
  demand(new Set(names.map(keyOf)).size === names.length, 'bad_assertion')
}

/** Returns the result of a step, or why it fails. @throws UafError where the whole response fails. */
export function attempt<Result>(step: () => Result): Result | { readonly failure: UafFailure } {
  try {
    return step()
  } catch (error) {
    if (error instanceof UafError && !error.isFatal) return { failure: error.failure }
    throw error
  }
}
