// One verification of a signature, as of an authentication response.

import { verify } from 'node:crypto'
import { createAuthenticatorKey, signAs, signatureOptions } from '../../test/support/uaf/assertions.ts'

/** As long as what an authenticator signs. */
const SIGNED = Buffer.from('x'.repeat(200))

/** Returns a function that verifies a signature, with the key imported already. @param algorithm of FIDO's ALG_SIGN */
export function createVerification(algorithm: number): () => void {
  const { privateKey, publicKey } = createAuthenticatorKey(algorithm)
  const signature = signAs(algorithm, privateKey, SIGNED)
  const key = { key: publicKey, ...signatureOptions(algorithm) }
  return () => {
    if (!verify('sha256', SIGNED, key, signature)) throw new Error('the signature does not hold')
  }
}
