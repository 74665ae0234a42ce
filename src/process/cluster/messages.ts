import type { Registry } from 'prom-client'

/** The metrics of one process, as prom-client's JSON. */
export type Snapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What a worker serves, as fields of a log line. */
export interface Listening {
  readonly url: string
  readonly metrics: string | undefined
  readonly configuration: string
  readonly contracts: readonly string[]
}

export type PrimaryMessage =
  | { readonly type: 'reload' }
  | { readonly type: 'shutdown'; readonly signal: NodeJS.Signals | undefined }
  /** Asks for a snapshot. */
  | { readonly type: 'collect' }
  /** Answers `render`: the metrics of all workers, in Prometheus' text format. */
  | { readonly type: 'rendered'; readonly text: string }
  /** Delivers the message of a `broadcast`. */
  | { readonly type: 'deliver'; readonly id: number; readonly message: unknown }
  /** Answers `broadcast`: the answers of all workers; null for one that has exited. */
  | { readonly type: 'answers'; readonly id: number; readonly answers: readonly unknown[] }

export type WorkerMessage =
  | { readonly type: 'listening'; readonly listening: Listening; readonly banner: string | undefined }
  /** Answers `collect`. */
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  /** Asks for the metrics of all workers. */
  | { readonly type: 'render' }
  /** Sends a message to all workers. */
  | { readonly type: 'broadcast'; readonly id: number; readonly message: unknown }
  /** Answers `deliver`. */
  | { readonly type: 'delivered'; readonly id: number; readonly answer: unknown }
