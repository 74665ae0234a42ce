import { z } from 'zod'
import { AAID_PATTERN } from '../uaf/aaid.ts'
import { decodeBase64url } from '../uaf/base64url.ts'
import { parseJson, readValid } from '../uaf/response.ts'
import type { FidoOperation } from './operation.ts'
import { ALL_KEYS, type DeregisteredAuthenticator, type PngCharacteristics, type Transaction } from './uaf-request.ts'

/** A validated `context` (N10). */
export type FidoContext =
  | {
      readonly operation: 'registration'
      readonly username: string
      /** A policy's name; undefined selects the configured default. */
      readonly policy: string | undefined
    }
  | {
      readonly operation: 'deregistration'
      readonly username: string
      readonly policy: string | undefined
      /** Which of the user's keys to delete. */
      readonly authenticators: readonly DeregisteredAuthenticator[]
    }
  | {
      readonly operation: 'authentication'
      /** Undefined lets any user with a registered key authenticate (N11). */
      readonly username: string | undefined
      readonly policy: string | undefined
      /** What the user confirms: at least one, in alternative formats that the client chooses from. */
      readonly transaction: readonly Transaction[] | undefined
    }

/**
 * A username of 1 to 128 code points (FIDO UAF 1.1 protocol, section 3.4, RegistrationRequest).
 *
 * Lone surrogates are rejected: UTF-8 cannot encode them, so two different names could become equal.
 */
export const fidoUsername = z
  .string()
  .regex(/^.{1,128}$/su)
  .refine((name) => name.isWellFormed())

/** Accepts base64 (RFC 4648, section 4), which callers send, and base64url, which UAF uses. */
const bytes = z.union([z.base64(), z.base64url()]).transform((text) => Buffer.from(text, 'base64'))

/** ASCII text of 1 to 200 characters (FIDO UAF 1.1 protocol, section 3.5, Transaction). */
const asciiText = bytes.refine((text) => text.length >= 1 && text.length <= 200 && text.every((code) => code < 0x80))

/** The two content types of a transaction (FIDO UAF 1.1 protocol, section 3.5). An image needs its characteristics. */
const transaction = z.discriminatedUnion('contentType', [
  z.object({ contentType: z.literal('text/plain'), content: asciiText }),
  z.object({ contentType: z.literal('image/png'), content: bytes }).transform(({ contentType, content }, issues) => {
    const tcDisplayPNGCharacteristics = readPngCharacteristics(content)
    if (tcDisplayPNGCharacteristics) return { contentType, content, tcDisplayPNGCharacteristics }
    issues.addIssue({ code: 'custom' })
    return z.NEVER
  }),
])

const aaid = z.string().regex(AAID_PATTERN)
const keyID = z
  .string()
  .min(1)
  .refine((text) => decodeBase64url(text) !== undefined)

/** What a deregistration deletes (U6), as the authenticators of a UAF request. */
const selection = z.compile(
  z.union([
    z.object({ mode: z.literal('username').optional() }).transform(() => ALL_KEYS),
    z
      .object({ mode: z.literal('aaid'), aaids: z.array(aaid).min(1) })
      .transform(({ aaids }) => aaids.map((selected) => ({ aaid: selected, keyID: '' }))),
    z
      .object({ mode: z.literal('key'), authenticators: z.array(z.object({ aaid, keyID })).min(1) })
      .transform(({ authenticators }) => authenticators),
  ]),
)

const members = z.compile(
  z.object({
    username: fidoUsername.optional(),
    policy: z.string().optional(),
    transaction: z.array(transaction).min(1).optional(),
  }),
)

/**
 * Parses and validates the `context` of a GetUAFRequest (N10): JSON text of an object. Unknown members are ignored.
 * `policy` and `transaction` are validated for every operation, even for one that does not use them.
 *
 * @param policies the names that `policy` may have.
 * @returns undefined for an invalid context.
 */
export function readContext(
  operation: FidoOperation,
  text: string,
  policies: ReadonlySet<string>,
): FidoContext | undefined {
  const json = parseJson(text)
  const data = readValid(members, json)
  if (!data || (data.policy !== undefined && !policies.has(data.policy))) return undefined
  const { username, policy, transaction } = data
  if (operation === 'authentication') return { operation, username, policy, transaction }
  if (username === undefined) return undefined
  if (operation === 'registration') return { operation, username, policy }
  const authenticators = readValid(selection, json)
  return authenticators && { operation, username, policy, authenticators }
}

/** The first bytes of every PNG: signature, then length and name of the IHDR chunk (PNG, sections 5.2 and 11.2.2). */
const PNG_START = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')

/** Signature and IHDR with its checksum. */
const MIN_PNG_BYTES = 33

/**
 * Reads IHDR, which has the fields of DisplayPNGCharacteristicsDescriptor (FIDO metadata statements) in the same order.
 */
function readPngCharacteristics(image: Buffer): PngCharacteristics | undefined {
  if (image.length < MIN_PNG_BYTES || !image.subarray(0, PNG_START.length).equals(PNG_START)) return undefined
  return {
    width: image.readUInt32BE(16),
    height: image.readUInt32BE(20),
    bitDepth: image.readUInt8(24),
    colorType: image.readUInt8(25),
    compression: image.readUInt8(26),
    filter: image.readUInt8(27),
    interlace: image.readUInt8(28),
  }
}
