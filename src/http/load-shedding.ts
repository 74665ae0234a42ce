import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { OVERLOAD_RETRY_AFTER_MS, Refusal } from './refusal.ts'

export interface LoadSheddingOptions {
  /** Milliseconds. */
  readonly eventLoopDelay: number
  /** Percent of the heap that V8 may use. */
  readonly heap: number
  /** Bytes of memory that this process may occupy. */
  readonly maxResidentBytes: number
}

/** A shorter sample holds too few measurements. */
const MIN_SAMPLE_INTERVAL_MS = 1_000

/**
 * Percent of the memory of this machine or container. The rest is a margin: the kernel kills a process that uses it
 * all.
 */
const MAX_RESIDENT_PERCENT = 90

/** An idle process uses up to half of this. */
const MIN_RESIDENT_LIMIT_BYTES = 256 * 1024 * 1024

/**
 * Returns how many bytes of memory each process may occupy before it refuses requests.
 *
 * @param processes the number of processes that share the memory.
 */
export function defaultMaxResidentBytes(processes: number): number {
  // 0 if there is no limit, or if it is unknown.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY
  const share = (Math.min(limit, totalmem()) * MAX_RESIDENT_PERCENT) / 100 / processes
  return Math.max(MIN_RESIDENT_LIMIT_BYTES, share)
}

/** Refuses requests while the process is over a limit, so that requests in progress are answered in time. */
export async function registerLoadShedding(app: FastifyInstance, options: LoadSheddingOptions): Promise<void> {
  const { eventLoopDelay, heap, maxResidentBytes } = options
  await app.register(underPressure, {
    // A delay as long as the sample leaves nothing to measure, which counts as an infinite delay.
    sampleInterval: Math.max(MIN_SAMPLE_INTERVAL_MS, 2 * eventLoopDelay),
    maxEventLoopDelay: eventLoopDelay,
    maxHeapUsedBytes: (getHeapStatistics().heap_size_limit * heap) / 100,
    maxRssBytes: maxResidentBytes,
    pressureHandler: async () => {
      throw new Refusal('overloaded', { retryAfterMs: OVERLOAD_RETRY_AFTER_MS })
    },
  })
}
