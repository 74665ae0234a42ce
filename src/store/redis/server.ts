/** A server, and how to connect to it. */
export interface RedisServer {
  /** `redis://` or `rediss://`, with credentials and the number of the database. */
  readonly url: string
  /** Certificates of the authorities to trust in place of the system's, in PEM form. */
  readonly ca?: string | undefined
}

/** Finds the server that accepts writes. A connection calls it before each attempt to connect. */
export type FindPrimary = () => Promise<RedisServer>
