import type { Configuration } from './schema.ts'

/** Returns the longest lifetime of a signed token, in seconds. Opaque tokens are not signed. */
export function longestLifetime({ bws, idscan }: Configuration): number {
  const lifetimes = bws ? bws.apps.map(({ lifetime = bws.lifetime }) => lifetime) : []
  return Math.max(0, ...lifetimes, idscan ? idscan.lifetime : 0)
}
