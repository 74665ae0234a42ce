import type { BenchEnvironment } from '../environment.ts'
import type { Requests } from '../load/client.ts'
import type { Server } from '../server.ts'

/** Requests to measure a server with. */
export interface Traffic {
  readonly requests: Requests
  /** The request that yields tokens, where {@link requests} need some. */
  readonly tokens?: Requests
}

/** A running server and the requests to measure it with. */
export interface Target extends Traffic {
  readonly server: Server
  /** Whether a store runs on the load generator's core, so that the generator must sleep between requests. */
  readonly sharesGeneratorCore?: boolean
  /** Runs before each measurement. */
  prepare?(): Promise<void>
}

export interface Candidate {
  /** Its name for `--only`. */
  readonly name: string
  readonly title: string
  readonly kind: 'trimint' | 'peer'
  /** The ratio to bare node:http's rate to reach. */
  readonly target?: number | undefined
  /** @param env variables for the server's process */
  start(environment: BenchEnvironment, env?: Readonly<Record<string, string>>): Promise<Target>
}
