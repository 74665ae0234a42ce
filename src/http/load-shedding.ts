import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { OVERLOAD_RETRY_AFTER_MS, Refusal } from './refusal.ts'

export interface LoadSheddingOptions {
  /** Milliseconds. */
  readonly eventLoopDelay: number
  /** Percent of the heap that V8 may use. */
  readonly heap: number
}

/** A shorter sample holds too few measurements. */
const MIN_SAMPLE_INTERVAL_MS = 1_000

/** Refuses requests while the process is over a limit, so that requests under way are answered in time. */
export async function registerLoadShedding(app: FastifyInstance, options: LoadSheddingOptions): Promise<void> {
  const { eventLoopDelay, heap } = options
  await app.register(underPressure, {
    // A delay as long as the sample leaves nothing to measure, which counts as an infinite delay.
    sampleInterval: Math.max(MIN_SAMPLE_INTERVAL_MS, 2 * eventLoopDelay),
    maxEventLoopDelay: eventLoopDelay,
    maxHeapUsedBytes: (getHeapStatistics().heap_size_limit * heap) / 100,
    pressureHandler: async () => {
      throw new Refusal('overloaded', { retryAfterMs: OVERLOAD_RETRY_AFTER_MS })
    },
  })
}
