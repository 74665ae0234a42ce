import { z } from 'zod'
import type { FidoOperation } from './operation.ts'
import type { PngCharacteristics, Transaction } from './uaf-request.ts'

/** What the caller says beside the operation (N10), checked. */
export type FidoContext =
  | {
      readonly operation: 'registration' | 'deregistration'
      readonly username: string
      /** A policy's name; undefined where the caller leaves the choice to the configuration. */
      readonly policy: string | undefined
    }
  | {
      readonly operation: 'authentication'
      /** Undefined where whoever holds a registered key may authenticate (N11). */
      readonly username: string | undefined
      readonly policy: string | undefined
      /** What the user is to confirm; at least one, the same in several forms for the client to choose from. */
      readonly transaction: readonly Transaction[] | undefined
    }

/**
 * FIDO UAF 1.1 protocol, section 3.4, RegistrationRequest: `string[1..128]`. A character is a code point, as in the configured lists of users.
 * Half a surrogate pair is refused: UTF-8 cannot write it, and two names would become one.
 */
export const fidoUsername = z
  .string()
  .regex(/^.{1,128}$/su)
  .refine((name) => name.isWellFormed())

/** Callers write base64 (RFC 4648, section 4); the form of UAF itself, base64url, is unmistakable and read as well. */
const bytes = z.union([z.base64(), z.base64url()]).transform((text) => Buffer.from(text, 'base64'))

/** FIDO UAF 1.1 protocol, section 3.5, Transaction: ASCII text of at most 200 characters. */
const asciiText = bytes.refine((text) => text.length >= 1 && text.length <= 200 && text.every((code) => code < 0x80))

/** FIDO UAF 1.1 protocol, section 3.5, Transaction: the two content types there are; an image comes with its characteristics. */
const transaction = z.discriminatedUnion('contentType', [
  z.object({ contentType: z.literal('text/plain'), content: asciiText }),
  z.object({ contentType: z.literal('image/png'), content: bytes }).transform(({ contentType, content }, issues) => {
    const tcDisplayPNGCharacteristics = readPngCharacteristics(content)
    if (tcDisplayPNGCharacteristics) return { contentType, content, tcDisplayPNGCharacteristics }
    issues.addIssue({ code: 'custom' })
    return z.NEVER
  }),
])

const members = z.compile(
  z.object({
    username: fidoUsername.optional(),
    policy: z.string().optional(),
    transaction: z.array(transaction).min(1).optional(),
  }),
)

/**
 * Reads the `context` of a GetUAFRequest (N10): JSON text of an object. Members without a meaning are ignored. Every operation has
 * its `policy` and `transaction` checked, also where nothing comes of them.
 *
 * @param policies names that `policy` may have.
 * @returns undefined where the context is not as it has to be.
 */
export function readContext(
  operation: FidoOperation,
  text: string,
  policies: ReadonlySet<string>,
): FidoContext | undefined {
  const { data } = members.safeParse(parseJson(text))
  if (!data || (data.policy !== undefined && !policies.has(data.policy))) return undefined
  const { username, policy, transaction } = data
  if (operation === 'authentication') return { operation, username, policy, transaction }
  return username === undefined ? undefined : { operation, username, policy }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** How every PNG begins: its signature, then the length and the name of the chunk IHDR (PNG, sections 5.2 and 11.2.2). */
const PNG_START = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')

/** Signature and IHDR with its checksum. */
const PNG_MINIMUM = 33

/** The fields of IHDR are those of DisplayPNGCharacteristicsDescriptor (FIDO metadata statements), in the same order. */
function readPngCharacteristics(image: Buffer): PngCharacteristics | undefined {
  if (image.length < PNG_MINIMUM || !image.subarray(0, PNG_START.length).equals(PNG_START)) return undefined
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
