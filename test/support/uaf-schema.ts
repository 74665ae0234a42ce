import { z } from 'zod'

// FIDO UAF protocol specification 1.1, written a second time without sharing anything with src: the dictionaries that
// a server sends, and the rules for creating them. Lengths count bytes for byte[] and characters otherwise, as in the
// specification.

/** Section 1, Notation: base64url without padding and without unused bits set. */
function base64url(minimum: number, maximum: number) {
  return z.string().refine((text) => {
    const bytes = Buffer.from(text, 'base64url')
    return bytes.toString('base64url') === text && bytes.length >= minimum && bytes.length <= maximum
  })
}

function characters(minimum: number, maximum: number) {
  return z.string().refine((text) => {
    const { length } = [...text]
    return length >= minimum && length <= maximum
  })
}

const octet = z.int().min(0).max(0xff)
const unsignedShort = z.int().min(0).max(0xffff)
const unsignedLong = z.int().min(0).max(0xffff_ffff)

const aaid = z.string().regex(/^[0-9A-Fa-f]{4}#[0-9A-Fa-f]{4}$/)
const keyID = base64url(32, 2048)

function header<Operation extends string>(operation: Operation) {
  return z.strictObject({
    upv: z.strictObject({ major: z.literal(1), minor: z.literal(1) }),
    op: z.literal(operation),
    appID: z.url({ protocol: /^https$/ }).max(512),
    serverData: characters(1, 1536),
  })
}

const BESIDE_AAID = new Set(['aaid', 'keyIDs', 'attachmentHint', 'authenticatorVersion', 'exts'])

const matchCriteria = z
  .strictObject({
    aaid: z.array(aaid).min(1).optional(),
    vendorID: z
      .array(z.string().regex(/^[0-9A-Fa-f]{4}$/))
      .min(1)
      .optional(),
    keyIDs: z.array(keyID).min(1).optional(),
    userVerification: unsignedLong.optional(),
    keyProtection: unsignedShort.optional(),
    matcherProtection: unsignedShort.optional(),
    attachmentHint: unsignedLong.optional(),
    tcDisplay: unsignedShort.optional(),
    authenticationAlgorithms: z.array(unsignedShort).min(1).optional(),
    assertionSchemes: z.array(z.string().min(1)).min(1).optional(),
    attestationTypes: z.array(unsignedShort).min(1).optional(),
    authenticatorVersion: unsignedShort.optional(),
  })
  // The rules for a policy: an AAID allows few other members; without one, two others are required.
  .refine((criteria) =>
    criteria.aaid
      ? Object.keys(criteria).every((name) => BESIDE_AAID.has(name))
      : criteria.authenticationAlgorithms !== undefined && criteria.assertionSchemes !== undefined,
  )

const policy = z.strictObject({
  accepted: z.array(z.array(matchCriteria).min(1)).min(1),
  disallowed: z.array(matchCriteria).optional(),
})

const challenge = base64url(8, 64)

const registrationRequest = z.strictObject({
  header: header('Reg'),
  challenge,
  username: characters(1, 128),
  policy,
})

const transaction = z.discriminatedUnion('contentType', [
  z.strictObject({
    contentType: z.literal('text/plain'),
    content: base64url(1, 200).refine((text) => Buffer.from(text, 'base64url').every((code) => code < 0x80)),
  }),
  z.strictObject({
    contentType: z.literal('image/png'),
    content: base64url(1, Number.POSITIVE_INFINITY),
    tcDisplayPNGCharacteristics: z.strictObject({
      width: unsignedLong,
      height: unsignedLong,
      bitDepth: octet,
      colorType: octet,
      compression: octet,
      filter: octet,
      interlace: octet,
    }),
  }),
])

const authenticationRequest = z.strictObject({
  header: header('Auth'),
  challenge,
  transaction: z.array(transaction).min(1).optional(),
  policy,
})

const deregistrationRequest = z.strictObject({
  header: header('Dereg'),
  authenticators: z
    .array(
      z.union([
        z.strictObject({ aaid, keyID: z.union([keyID, z.literal('')]) }),
        // Any key of the app.
        z.strictObject({ aaid: z.literal(''), keyID: z.literal('') }),
      ]),
    )
    .min(1),
})

/** Returns the JSON text of a request for UAF 1.1 alone. */
export const uafRequestText = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.tuple([z.union([registrationRequest, authenticationRequest, deregistrationRequest])]))
