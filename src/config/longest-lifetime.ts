import type { Configuration } from './schema.ts'

/** Seconds: no signed token that is issued under this configuration lives longer. Opaque tokens need no key. */
export function longestLifetime({ bws, idscan }: Configuration): number {
  const lifetimes = bws ? bws.apps.map(({ lifetime = bws.lifetime }) => lifetime) : []
  return Math.max(0, ...lifetimes, idscan ? idscan.lifetime : 0)
}
