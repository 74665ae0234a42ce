// What is measured: a server, and the requests that it is measured with. Not a program of its own.

import type { Requests } from '../load/protocol.ts'
import type { BenchmarkProcess } from './process.ts'

/** Where subjects are started: shared by all of a run. */
export interface Surroundings {
  /** The core of whatever is measured; undefined where nothing can be bound to a core. */
  readonly core: number | undefined
  /** For what a subject writes; it makes a folder of its own in it. */
  readonly folder: string
  /** Of the environment of Trimint, where it is to differ. */
  readonly variables?: Readonly<Record<string, string>>
  /** A Redis with a database for each number, synced to disk; started with the first call. */
  redis(): Promise<string>
}

export interface Subject {
  /** For `--only`. */
  readonly name: string
  readonly title: string
  readonly isPeer: boolean
  /** The least share of bare node:http's rate that we aim at. */
  readonly target?: number
  start(surroundings: Surroundings): Promise<StartedSubject>
}

export interface StartedSubject {
  readonly port: number
  readonly process: BenchmarkProcess
  readonly requests: Requests
  /** Where {@link requests} need tokens: how they come. */
  readonly tokens?: Requests
  /** Whether another server needs the generator's core as well, which then has to sleep when it has nothing to do. */
  readonly sharesGenerator?: boolean
}
