import { z } from 'zod'
import { signatureAlgorithm } from './algorithms.ts'

/** A registered key. All of it is JSON, so that a file can keep it. */
export const uafKey = z.object({
  appId: z.string(),
  username: z.string(),
  aaid: z.string(),
  /** Base64url. */
  keyId: z.string(),
  algorithm: signatureAlgorithm,
  /** PKCS #8 in PEM. */
  privateKey: z.string(),
  /** The counter of the last signature. */
  signCounter: z.int(),
})

export type UafKey = z.output<typeof uafKey>
