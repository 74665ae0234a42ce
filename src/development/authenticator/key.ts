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

/** Where an authenticator keeps its keys. */
export interface KeyRing {
  all(): readonly UafKey[]
  /** Replaces all keys: after a registration, a signature or a deregistration. */
  replace(keys: readonly UafKey[]): Promise<void>
}

/** Creates a key ring in memory. */
export function createKeyRing(keys: readonly UafKey[] = []): KeyRing {
  let current = keys
  return {
    all: () => current,
    async replace(next) {
      current = next
    },
  }
}
