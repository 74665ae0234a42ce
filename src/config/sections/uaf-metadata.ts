import { z } from 'zod'
import { AAID_PATTERN } from '../../core/uaf/aaid.ts'
import { parseCertificate } from '../../core/uaf/keys/certificates.ts'
import { expected, text } from '../value-schemas.ts'

const flags = z.int(expected('a number of flags'))

const rootCertificate = z
  .string(expected('a certificate: base64 of DER'))
  .refine((base64) => parseCertificate(Buffer.from(base64, 'base64')) !== undefined, {
    message: 'not a certificate; expected base64 of DER',
  })

/** The members of a metadata statement that are used (FIDO UAF 1.1 metadata statements, section 4.1). */
const statement = z.looseObject({
  aaid: text('an AAID such as 4746#0001', AAID_PATTERN),
  authenticationAlgorithm: z.int(expected('a number of the registry, such as 1')),
  attestationTypes: z.array(z.int(expected('a number of the registry, such as 15879')), expected('a list')),
  userVerificationDetails: z.array(z.array(z.looseObject({ userVerification: flags })), expected('a list of lists')),
  keyProtection: flags,
  matcherProtection: flags,
  attachmentHint: flags,
  tcDisplay: flags,
  attestationRootCertificates: z.array(rootCertificate, expected('a list')).default([]),
})

/** A metadata statement, as an object or as JSON text: what `file:` is replaced by. */
export const metadataStatement = z.preprocess(
  (value) => (typeof value === 'string' ? parseJson(value) : value),
  statement,
)

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}
