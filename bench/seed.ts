// Tokens that are live, as many as wanted, written as the service itself would. Not a program of its own.

import { createHash, randomUUID } from 'node:crypto'
import type { TokenRecord } from '../src/core/ports/token-store.ts'
import { openStores } from '../src/store/open-stores.ts'

/** So many are written at a time: few enough for a Redis that syncs each to the disk to answer all in time. */
const GROUP = 200

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** Writes records that live for a day. @param store as the configuration names it. */
export async function seedTokens(store: string, records: number): Promise<void> {
  const stores = await openStores(store, { onError: () => undefined, onFatal: () => undefined })
  try {
    for (let written = 0; written < records; written += GROUP) {
      const group = Array.from({ length: Math.min(GROUP, records - written) }, () => stores.tokens.create(makeRecord()))
      await Promise.all(group)
    }
  } finally {
    await stores.close()
  }
}

function makeRecord(): TokenRecord {
  const createdAt = Date.now()
  return {
    tokenDigest: digest(randomUUID()),
    sessionDigest: digest(randomUUID()),
    operation: 'registration',
    username: 'jeff',
    client: undefined,
    uafRequest: 'x'.repeat(400),
    createdAt,
    expiresAt: createdAt + 86_400_000,
    responseLifetime: 300_000,
    redeemedAt: undefined,
    revokedAt: undefined,
  }
}
