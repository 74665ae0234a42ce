import pino, { type DestinationStream, type Logger } from 'pino'
import type { Clock } from '../core/clock.ts'

/**
 * The log: JSON lines, `time` in milliseconds since the epoch.
 *
 * Whatever hands it a request or a reply, only what cannot hold a secret is written: no URL, no header, no body.
 */
export function createLogger(level: string, clock: Clock, destination: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":${clock()}`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        req: ({ id, method }: { id?: unknown; method?: unknown }) => ({ id, method }),
        res: ({ statusCode }: { statusCode?: unknown }) => ({ statusCode }),
      },
    },
    destination,
  )
}
