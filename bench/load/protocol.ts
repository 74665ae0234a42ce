// What the benchmark says to its load generator, and hears from it. Not a program of its own.

/** What every answer has to look like: one that does not ends the benchmark. */
export interface Expectation {
  readonly status: number
  /** A regular expression. Where a token is collected from answers, its first group. */
  readonly body: string
}

export interface Requests {
  /** As it goes over the wire; with a place for a token in it, the tokens that were collected are given, and it ends with them. */
  readonly request: string
  readonly expect: Expectation
  /** How often each collected token is given. */
  readonly uses?: number
}

export type Job = { readonly port: number; readonly connections: number } & (
  | { readonly kind: 'collect'; readonly requests: Requests; readonly count: number }
  | {
      readonly kind: 'load'
      readonly requests: Requests
      readonly seconds: number
      /** Requests a second, whenever they are answered; without it, each connection sends when it has its answer. */
      readonly rate?: number
      /**
       * Whether the generator never sleeps. On one machine whoever sends a sleeper something pays for waking it: a server that is slower
       * than the generator would, bare node:http would not. Where it shares its core it has to sleep, also at a given rate.
       */
      readonly awake: boolean
    }
)

export interface Measured {
  readonly answers: number
  readonly seconds: number
  /** Milliseconds: from when a request was to be sent until its answer was in. */
  readonly latency: Percentiles
  /** Milliseconds: how much later than it was to be, a request was sent. */
  readonly lateness: Percentiles
  /** Share of a core that the generator itself took. */
  readonly generatorLoad: number
}

export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

export type Report = { readonly done: Measured } | { readonly error: string }
