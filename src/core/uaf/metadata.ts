import type { X509Certificate } from 'node:crypto'
import { foldAaid } from './aaid.ts'

/** What a metadata statement says of a model of authenticator (FIDO UAF 1.1 metadata statements, section 4.1). */
export interface MetadataStatement {
  readonly aaid: string
  /** ALG_SIGN. */
  readonly authenticationAlgorithm: number
  readonly attestationTypes: readonly number[]
  /** Alternatives, each of which lists methods that are used together. */
  readonly userVerificationDetails: readonly (readonly { readonly userVerification: number }[])[]
  readonly keyProtection: number
  readonly matcherProtection: number
  readonly attachmentHint: number
  readonly tcDisplay: number
  /** Empty where the model attests only with the key itself (U24). */
  readonly roots: readonly X509Certificate[]
}

/** The configured statements, by folded AAID. */
export type Metadata = ReadonlyMap<string, MetadataStatement>

export function createMetadata(statements: readonly MetadataStatement[]): Metadata {
  return new Map(statements.map((statement) => [foldAaid(statement.aaid), statement]))
}

export function findStatement(metadata: Metadata, aaid: string): MetadataStatement | undefined {
  return metadata.get(foldAaid(aaid))
}

/** USER_VERIFY_ALL: all methods of the other flags are used together. */
export const USER_VERIFY_ALL = 0x400

/**
 * Derives the flags that a criterion's `userVerification` is compared with (FIDO UAF 1.1 protocol, section 3.1.11).
 * Returns undefined for alternatives of which one combines methods: flags cannot express them.
 */
export function userVerificationOf({
  userVerificationDetails: alternatives,
}: Pick<MetadataStatement, 'userVerificationDetails'>): number | undefined {
  const [first = [], ...others] = alternatives
  if (others.length > 0) {
    if (alternatives.some((methods) => methods.length > 1)) return undefined
    return combine(alternatives.flat())
  }
  return first.length > 1 ? combine(first) | USER_VERIFY_ALL : combine(first)
}

function combine(methods: readonly { readonly userVerification: number }[]): number {
  return methods.reduce((flags, { userVerification }) => flags | userVerification, 0)
}
