import type { SpanExporter } from '@opentelemetry/sdk-trace-node'
import type { Logger } from 'pino'

/** `ExportResultCode.SUCCESS` of @opentelemetry/core, which would be loaded only for this number. */
const SUCCESS = 0

/** Logs when an exporter begins to fail, and when it works again. */
export function reportOutages(exporter: SpanExporter, logger: Logger): SpanExporter {
  let isFailing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const hasFailed = result.code !== SUCCESS
        if (hasFailed && !isFailing) logger.warn({ event: 'tracing.failed', error: result.error?.message })
        if (!hasFailed && isFailing) logger.info({ event: 'tracing.recovered' })
        isFailing = hasFailed
        done(result)
      })
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  }
}
