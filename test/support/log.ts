import { Writable } from 'node:stream'
import type { Logger } from 'pino'
import type { Clock } from '../../src/core/clock.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { recordLog } from './leak-recorder.ts'

export interface CapturedLog {
  /** Logs everything, at level trace. */
  readonly logger: Logger
  /** Every line so far, parsed. */
  readonly lines: Record<string, unknown>[]
  /** Returns every line so far, as written. */
  text(): string
}

/** Creates a logger for an instance in this process, and keeps its lines for the test and for the leak search. */
export function captureLog(clock: Clock): CapturedLog {
  const lines: Record<string, unknown>[] = []
  let text = ''
  const destination = new Writable({
    write(chunk, _encoding, done) {
      recordLog(String(chunk))
      text += chunk
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  return { logger: createLogger('trace', clock, destination), lines, text: () => text }
}
