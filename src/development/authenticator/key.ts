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
  /** Adds a key, or replaces the one with the same AAID and key id. */
  put(key: UafKey): Promise<void>
  remove(keys: readonly UafKey[]): Promise<void>
}

/** Creates a key ring in memory. */
export function createKeyRing(keys: readonly UafKey[] = []): KeyRing {
  const byName = new Map(keys.map((key) => [nameOf(key), key]))
  return {
    all: () => [...byName.values()],
    async put(key) {
      byName.set(nameOf(key), key)
    },
    async remove(removed) {
      for (const key of removed) byName.delete(nameOf(key))
    },
  }
}

function nameOf({ aaid, keyId }: UafKey): string {
  return `${aaid} ${keyId}`
}
