import { readFile } from 'node:fs/promises'

/** A server, and how to connect to it. */
export interface RedisServer {
  /** `redis://` or `rediss://`, with credentials and the number of the database. */
  readonly url: string
  /** Certificates of the authorities to trust in place of the system's, in PEM form. */
  readonly ca?: string
}

/**
 * Finds the server that accepts writes. A connection calls it before each attempt to connect, so the answer may change:
 * a fixed address is looked up again, Sentinel would be asked again.
 */
export type FindPrimary = () => Promise<RedisServer>

const CA_PARAMETER = '?ca='

/**
 * Returns the server that a URL names. Each connection looks its address up and reads its `ca` file again.
 *
 * @param url `redis://…`, or `rediss://…` with an optional `?ca=/path.pem`, percent-encoded.
 */
export function atFixedAddress(url: string): FindPrimary {
  const [server = url, caPath] = url.split(CA_PARAMETER)
  if (caPath === undefined) return async () => ({ url: server })
  const path = decodeURIComponent(caPath)
  return async () => ({ url: server, ca: await readFile(path, 'utf8') })
}
