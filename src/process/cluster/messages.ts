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

export type WorkerMessage =
  | { readonly type: 'listening'; readonly listening: Listening; readonly banner: string | undefined }
  /** Answers `collect`. */
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  /** Asks for the metrics of all workers. */
  | { readonly type: 'render' }
