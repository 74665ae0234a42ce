import pino, { type DestinationStream, type Logger } from 'pino'
import type { Clock } from '../core/clock.ts'

/**
 * Creates the log: JSON lines, `time` in milliseconds since the epoch.
 *
 * Of a request or a reply it writes only what cannot contain a secret: no URL, no header, no body.
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
