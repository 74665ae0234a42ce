import type { FastifyPluginCallback } from 'fastify'
import type { Variables } from '../config/environment.ts'

export interface Tracing {
  /** To be registered before any route. */
  readonly plugin: FastifyPluginCallback
  /** Sends what has not been sent. */
  close(): Promise<void>
}

/**
 * OpenTelemetry, where any `OTEL_…` variable is set; its packages are not even loaded otherwise. The variables are OpenTelemetry's own
 * (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, …), and so are their defaults, but for the service's name.
 */
export async function startTracing(variables: Variables): Promise<Tracing | undefined> {
  const isAsked = Object.entries(variables).some(([name, value]) => name.startsWith('OTEL_') && value)
  if (!isAsked || variables.OTEL_SDK_DISABLED === 'true') return undefined
  const [{ FastifyOtelInstrumentation }, { OTLPTraceExporter }, sdk, { defaultResource, resourceFromAttributes }] =
    await Promise.all([
      import('@fastify/otel'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/sdk-trace-node'),
      import('@opentelemetry/resources'),
    ])
  const name = variables.OTEL_SERVICE_NAME || 'trimint'
  const provider = new sdk.NodeTracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': name })),
    spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter())],
  })
  provider.register()
  const instrumentation = new FastifyOtelInstrumentation({
    // The route's pattern in place of the path: what callers put into a query is nobody else's.
    requestHook: (span, { routeOptions }) => void span.setAttribute('url.path', routeOptions.url ?? ''),
  })
  instrumentation.setTracerProvider(provider)
  return { plugin: instrumentation.plugin(), close: () => provider.shutdown() }
}
