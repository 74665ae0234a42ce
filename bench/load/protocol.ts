// Messages between the benchmark and its load generator.

/** What each answer must match; the first one that does not ends the run. */
export interface Expectation {
  readonly status: number
  /** A regular expression. Its first group is the token, where tokens are collected. */
  readonly body: string
}

export interface Requests {
  /** The bytes of a request. `{token}` in it is filled with collected tokens; the load ends when they are used up. */
  readonly request: string
  readonly expect: Expectation
  /** How often each token is sent; 1 by default. */
  readonly uses?: number
}

export interface Load {
  readonly port: number
  readonly connections: number
  readonly requests: Requests
  readonly seconds: number
  /** Requests a second, regardless of answers. Without a rate, each connection sends again after its answer. */
  readonly rate?: number
  /**
   * Whether the generator polls instead of sleeping. The kernel charges a sender for waking a sleeping receiver: a
   * server slower than the generator would pay for it, bare node:http would not. Must be false where another process
   * needs the same core.
   */
  readonly awake: boolean
}

export type Job =
  | ({ readonly kind: 'load' } & Load)
  | ({ readonly kind: 'collect'; readonly count: number } & Omit<Load, 'rate' | 'awake'>)

export interface Measured {
  readonly answers: number
  readonly seconds: number
  /** Milliseconds from when a request was due until its answer was complete. */
  readonly latencyMs: { readonly p50: number; readonly p99: number }
  /** Share of a core that the generator used. */
  readonly generatorLoad: number
}

export type Report = { readonly done: Measured } | { readonly failed: string; readonly exchange: unknown }
