import type { BenchEnvironment } from '../environment.ts'
import type { Requests } from '../load/protocol.ts'
import type { MeasuredProcess } from '../process.ts'

/** A running server and the requests to measure it with. */
export interface Target {
  readonly port: number
  readonly process: MeasuredProcess
  readonly requests: Requests
  /** The request that yields tokens, where {@link requests} need some. */
  readonly tokens?: Requests
  /** Whether a store runs on the load generator's core, so that the generator must sleep between requests. */
  readonly sharesGeneratorCore?: boolean
}

export interface Candidate {
  /** Its name for `--only`. */
  readonly name: string
  readonly title: string
  readonly kind: 'trimint' | 'peer'
  /** The ratio to bare node:http's rate to reach. */
  readonly target?: number
  start(environment: BenchEnvironment): Promise<Target>
}
