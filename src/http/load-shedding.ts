import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import type { OverloadConfiguration } from '../config/schema.ts'
import { OVERLOAD_PAUSE, Refusal } from './refusal.ts'

/** Milliseconds between two looks at how busy this process is, at least: in less, there is too little to see. */
const LOAD_SAMPLE = 1_000

/** Refuses requests past a limit, each contract in its own words, so that those which are taken are answered in time. */
export async function registerLoadShedding(
  app: FastifyInstance,
  { eventLoopDelay, heap }: OverloadConfiguration,
): Promise<void> {
  await app.register(underPressure, {
    // A delay of the length of a sample would leave nothing to measure, which counts as endless.
    sampleInterval: Math.max(LOAD_SAMPLE, 2 * eventLoopDelay),
    maxEventLoopDelay: eventLoopDelay,
    maxHeapUsedBytes: (getHeapStatistics().heap_size_limit * heap) / 100,
    pressureHandler: async () => {
      throw new Refusal('overloaded', { retryAfter: OVERLOAD_PAUSE })
    },
  })
}
