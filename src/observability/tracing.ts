import type { FastifyPluginCallback } from 'fastify'
import type { Logger } from 'pino'
import { reportOutages } from './exporter-outages.ts'
import { planTracing } from './tracing-environment.ts'

export interface Tracing {
  /** Register it before any route. */
  readonly plugin: FastifyPluginCallback
  /** Sends the remaining spans. */
  close(): Promise<void>
}

/** The optional packages of tracing. They take more disk space than all other packages together. */
const PACKAGES = [
  '@fastify/otel',
  '@opentelemetry/api',
  '@opentelemetry/exporter-trace-otlp-http',
  '@opentelemetry/resources',
  '@opentelemetry/sdk-trace-node',
]

/** Tracing was requested, and its packages are not installed. */
export class TracingUnavailableError extends Error {
  override readonly name = 'TracingUnavailableError'
}

/**
 * Starts OpenTelemetry where the variables ask for it, and loads its packages only then. Variables and defaults are
 * OpenTelemetry's (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …); `OTEL_SERVICE_NAME` defaults to `trimint`.
 *
 * @throws TracingUnavailableError if the packages are not installed.
 */
export async function startTracing(
  variables: Readonly<Record<string, string | undefined>>,
  logger: Logger,
): Promise<Tracing | undefined> {
  const { isOn, warnings } = planTracing(variables)
  for (const warning of warnings) logger.warn({ event: 'configuration.warning', warning: `environment ${warning}` })
  if (!isOn) return undefined
  const [{ FastifyOtelInstrumentation }, { OTLPTraceExporter }, sdk, { defaultResource, resourceFromAttributes }] =
    await loadPackages()
  const name = variables.OTEL_SERVICE_NAME || 'trimint'
  const provider = new sdk.NodeTracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': name })),
    spanProcessors: [new sdk.BatchSpanProcessor(reportOutages(new OTLPTraceExporter(), logger))],
  })
  provider.register()
  const instrumentation = new FastifyOtelInstrumentation({
    // The route's pattern, not the URL: a query may contain secrets.
    requestHook: (span, { routeOptions }) => void span.setAttribute('url.path', routeOptions.url ?? ''),
  })
  instrumentation.setTracerProvider(provider)
  return { plugin: instrumentation.plugin(), close: () => provider.shutdown() }
}

async function loadPackages() {
  try {
    return await Promise.all([
      import('@fastify/otel'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/sdk-trace-node'),
      import('@opentelemetry/resources'),
    ])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    const message = `tracing needs packages that are not installed; run npm install ${PACKAGES.join(' ')}, or set no OTEL_ variable`
    throw new TracingUnavailableError(message, { cause: error })
  }
}
