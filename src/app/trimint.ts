import type { Logger } from 'pino'
import type { LoadResult } from '../config/load.ts'
import type { Configuration, ConfigurationInput } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import type { Randomness } from '../core/randomness.ts'
import type { Development } from '../development/api.ts'
import type { Peers } from '../development/shared.ts'
import type { ConnectionLimits } from '../http/listener.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Tracing } from '../observability/tracing.ts'
import type { Stores } from '../store/open-stores.ts'
import type { Intervals } from './background-jobs.ts'
import type { ReloadResult } from './reload.ts'

/**
 * Options of startTrimint. Without any, the built-in demo runs with a store in memory.
 *
 * @example
 * const options: TrimintOptions = {
 *   configuration: {
 *     publicUrl: 'https://tokens.example.com',
 *     store: 'sqlite::memory:',
 *     keys: [{ secret: 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4' }],
 *     bws: { apps: [{ id: 'shop', secret: 'plain:shop-secret', bcids: ['bws/112'] }] },
 *   },
 * }
 */
export interface TrimintOptions {
  /** The configuration as an object: what `trimint.yaml` contains. */
  readonly configuration?: ConfigurationInput
  /** A configuration file, in place of `configuration`. Each reload reads it again. */
  readonly configFile?: string
  /** Values for `${NAME}` in the configuration file. */
  readonly variables?: Readonly<Record<string, string | undefined>>
  /** Rejects secrets that are public or written in plain text, which are warnings otherwise. */
  readonly production?: boolean
  /** Loads the configuration at the start and at each reload, in place of the four options above. */
  readonly load?: () => LoadResult
  /** The address to listen on; 127.0.0.1 by default. */
  readonly host?: string
  /** The port to listen on; any free one by default. */
  readonly port?: number
  /** A port for `GET /metrics` alone. Without it, the main port serves `/metrics`. */
  readonly metricsPort?: number
  /** The address of `metricsPort`; 127.0.0.1 by default. */
  readonly metricsHost?: string
  /** Silent by default. */
  readonly logger?: Logger
  /** Replaces some of the stores that the configuration names, or all of them. The caller closes them. */
  readonly stores?: Partial<Stores>
  readonly clock?: Clock
  /** Called with the clock in force once it is known: the control API replaces it. For a log and metrics from outside. */
  readonly onClock?: (clock: Clock) => void
  /** A monotonic clock: milliseconds since an arbitrary time. */
  readonly uptime?: Clock
  readonly randomness?: Randomness
  readonly intervals?: Partial<Intervals>
  readonly connectionLimits?: Partial<ConnectionLimits>
  /** Defaults of {@link Trimint.close}: no delay, and 30 s for requests in progress. */
  readonly drain?: { readonly delayMs?: number; readonly timeoutMs?: number }
  /** The processes that serve the same port, for the control API. */
  readonly peers?: Peers | undefined
  /** How many processes share this machine's cores; 1 by default. */
  readonly workers?: number
  /**
   * Bytes of memory beyond which requests are refused, unless `overload` is false; by default, a share of the
   * machine's.
   */
  readonly maxResidentBytes?: number
  readonly metrics?: Metrics
  /** Returns the text of `GET /metrics`, in place of this instance's own metrics. */
  readonly renderMetrics?: () => Promise<string>
  /** Milliseconds for which a rendering of the metrics is used again; 0 by default. */
  readonly metricsMaxAgeMs?: number
  readonly tracing?: Tracing | undefined
  /** Called after a failed sync: the store cannot tell which writes are durable. The process should end. */
  readonly onFatal?: (error: Error) => void
}

/**
 * Options of {@link Trimint.close}.
 *
 * @example
 * await trimint.close({ timeoutMs: 0 })
 */
export interface CloseOptions {
  /** Milliseconds between turning not ready and closing the port. */
  readonly delayMs?: number
  /** Milliseconds until requests in progress are abandoned; 0 abandons them at once. */
  readonly timeoutMs?: number
  readonly signal?: NodeJS.Signals | undefined
}

/**
 * A running Trimint.
 *
 * @example
 * const trimint = await startTrimint()
 * await fetch(`${trimint.url}/healthz`)
 * await trimint.close()
 */
export interface Trimint extends Development, AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly metricsUrl: string | undefined
  /** Differs for each start: identifies this instance to others that use the same store. */
  readonly instanceId: string
  /** The file in force; undefined for one given as an object, and for the demo. */
  readonly configFile: string | undefined
  /** The configuration in force, with all defaults. */
  readonly configuration: Configuration
  /**
   * Replaces the configuration without dropping a request: completely, or not at all if it has an issue.
   *
   * @param next the new configuration; by default it is loaded from the same source again.
   */
  reload(next?: ConfigurationInput): Promise<ReloadResult>
  /**
   * Answers requests in progress, then closes everything. Never rejects. A second call ends the delay of the first;
   * with `timeoutMs: 0` it also abandons requests in progress.
   */
  close(options?: CloseOptions): Promise<void>
}
