import type { Registry } from 'prom-client'

/** What a process has counted and measured, as JSON. */
export type Snapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What a worker serves, as the log says it. */
export interface Listening {
  readonly url: string
  readonly metrics: string | undefined
  readonly configuration: string
  readonly contracts: readonly string[]
}

/** From the parent to a worker. */
export type Order =
  | { readonly order: 'reload' }
  | { readonly order: 'end'; readonly signal: NodeJS.Signals | undefined }
  /** Asks what this worker has counted. */
  | { readonly order: 'count'; readonly question: number }
  /** Answers what all of them have counted. */
  | { readonly order: 'total'; readonly question: number; readonly text: string }

/** From a worker to the parent. */
export type Report =
  | { readonly report: 'listening'; readonly listening: Listening; readonly banner: string | undefined }
  /** Answers {@link Order} `count`. */
  | { readonly report: 'counted'; readonly question: number; readonly snapshot: Snapshot }
  /** Asks for {@link Order} `total`. */
  | { readonly report: 'asked'; readonly question: number }
