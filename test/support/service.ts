import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { Client, type Dispatcher } from 'undici'
import type { Intervals } from '../../src/app/background-jobs.ts'
import { startTrimint } from '../../src/app/start-trimint.ts'
import { systemClock } from '../../src/app/system-clock.ts'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import type { Trimint, TrimintOptions } from '../../src/app/trimint.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import type { Clock } from '../../src/core/clock.ts'
import type { Randomness } from '../../src/core/randomness.ts'
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts'
import { openStores, type Stores } from '../../src/store/open-stores.ts'
import { TRACED } from './full.ts'
import { record, trackSecret, trackSecretsIn } from './leak-recorder.ts'
import { captureLog } from './log.ts'
import { createStoreFile, recordRefusalsOf } from './traces.ts'

/** 32 bytes, base64url. */
export const KEY = 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4'
export const APP_SECRET = 'app+secret/with=all:the~odd characters'

export const APP = { id: 'app-1', secret: `plain:${APP_SECRET}`, client: 'BWS-Test', bcids: '*' } as const

export interface Reply {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
}

export interface RequestOptions {
  readonly method?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string | Buffer
  /** Sent as HTTP Basic. */
  readonly as?: { id: string; secret: string }
}

/** An instance in this process, and a client that sends paths unchanged. */
export interface Service extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly trimint: Trimint
  readonly metrics: Metrics
  readonly stores: Stores
  /** Every line that it has logged. */
  readonly log: Record<string, unknown>[]
  request(path: string, options?: RequestOptions): Promise<Reply>
  close(): Promise<void>
}

/** Answers requests: an instance of this process or of another, or a gateway in front. */
export type Answerer = Pick<Service, 'request'>

export interface ServiceOptions {
  readonly configuration?: Partial<ConfigurationInput>
  readonly clock?: Clock
  /** The clock, by default. */
  readonly uptime?: Clock
  readonly randomness?: Randomness
  /** Stores to share with another service, or stores with faults. The test closes them. */
  readonly stores?: Partial<Stores>
  readonly intervals?: Partial<Intervals>
  readonly connectionLimits?: TrimintOptions['connectionLimits']
  readonly maxResidentBytes?: number
  /** Begins to shut down at once, and serves for this many milliseconds more. */
  readonly drainingMs?: number
  /** Adds the metrics of Node itself, which outlive the service. */
  readonly processMetrics?: boolean
}

/** Completes a configuration; the default has one BWS app. */
function configure(overrides: Partial<ConfigurationInput> = {}): ConfigurationInput {
  trackSecret(KEY)
  return {
    publicUrl: 'https://tokens.example.com/some/path',
    keys: [{ secret: KEY }],
    bws: { apps: [APP] },
    // Other tests keep the machine busy.
    overload: false,
    ...overrides,
  }
}

/** Keeps tests from waiting for background jobs. */
const SHORT_INTERVALS: Partial<Intervals> = {
  guardRefreshMs: 50,
  revocationRefreshMs: 50,
  heartbeatMs: 100,
  usageFlushMs: 20,
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const { clock = systemClock, randomness = systemRandomness, connectionLimits = {} } = options
  const { logger, lines: log } = captureLog(clock)
  const file = TRACED ? await createStoreFile() : undefined
  const own = await openStores(file?.store ?? 'sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
  const metrics = createMetrics(clock, { process: options.processMetrics ?? false })
  const stores = { ...own, ...options.stores }
  const trimint = await startTrimint({
    configuration: configure(options.configuration),
    clock,
    uptime: options.uptime ?? clock,
    randomness,
    logger,
    metrics,
    stores,
    intervals: { ...SHORT_INTERVALS, ...options.intervals },
    connectionLimits,
    ...(options.maxResidentBytes === undefined ? {} : { maxResidentBytes: options.maxResidentBytes }),
  })
  const { url } = trimint
  const port = Number(new URL(url).port)
  const stopWatching = recordRefusalsOf(port)
  if (options.drainingMs !== undefined) void trimint.close({ delayMs: options.drainingMs })
  const client = new Client(url, { pipelining: 1, connect: { rejectUnauthorized: false } })

  async function request(
    path: string,
    { method = 'GET', headers = {}, body, as }: RequestOptions = {},
  ): Promise<Reply> {
    const sent = { ...headers, ...(as ? { authorization: basic(as.id, as.secret) } : {}) }
    const response = await client.request({
      path,
      method: method as Dispatcher.HttpMethod,
      headers: sent,
      ...(body === undefined ? {} : { body }),
    })
    const reply = { status: response.statusCode, headers: response.headers, body: await response.body.text() }
    // The examples in the document are not secret.
    trackSecretsIn(reply.body)
    return reply
  }

  async function close(): Promise<void> {
    await client.close()
    await trimint.close({ timeoutMs: 0 })
    stopWatching()
    record('metrics', await metrics.registry.metrics())
    await own.close()
    await file?.recordAndRemove()
  }

  return { url, port, trimint, metrics, stores, log, request, close, [Symbol.asyncDispose]: close }
}

/** Returns the value of an `Authorization` header (RFC 7617). */
export function basic(id: string, secret: string): string {
  const credentials = Buffer.from(`${id}:${secret}`).toString('base64')
  trackSecret(credentials)
  if (secret.length > 4) trackSecret(secret)
  return `Basic ${credentials}`
}

/** Starts a service, and returns its Fastify app beside it. */
export async function startServiceAndApp(options: ServiceOptions): Promise<{ service: Service; app: FastifyInstance }> {
  const created: FastifyInstance[] = []
  const onCreated = (message: unknown): void => void created.push((message as { fastify: FastifyInstance }).fastify)
  subscribe('fastify.initialization', onCreated)
  const service = await startService(options).finally(() => unsubscribe('fastify.initialization', onCreated))
  return { service, app: created[0] as FastifyInstance }
}
