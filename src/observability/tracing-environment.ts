/** What OpenTelemetry's variables ask for. */
export interface TracingPlan {
  readonly isOn: boolean
  /** What Trimint does not do, although a variable asks for it. */
  readonly warnings: readonly string[]
}

type Variables = Readonly<Record<string, string | undefined>>

/** The only protocol of the exporter. */
const PROTOCOL = 'http/json'

/** The second one takes precedence, and concerns traces alone. */
const PROTOCOL_VARIABLES = ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL']

/**
 * Reads whether requests are traced: where any `OTEL_…` variable is set, unless one of them says otherwise.
 *
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
export function planTracing(variables: Variables): TracingPlan {
  const isRequested = Object.entries(variables).some(([name, value]) => name.startsWith('OTEL_') && value)
  // Booleans are compared in any case; values besides `true` mean false.
  if (!isRequested || variables.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return { isOn: false, warnings: [] }
  const exporters = listOf(variables.OTEL_TRACES_EXPORTER || 'otlp')
  const unknown = exporters.filter((name) => name !== 'otlp' && name !== 'none')
  const isOn = exporters.includes('otlp')
  return {
    isOn,
    warnings: [
      ...unknown.map((name) => `OTEL_TRACES_EXPORTER: ${name} is not supported; expected otlp or none`),
      ...(isOn ? protocolWarnings(variables) : []),
    ],
  }
}

function protocolWarnings(variables: Variables): string[] {
  const name = PROTOCOL_VARIABLES.findLast((variable) => variables[variable])
  const protocol = name === undefined ? PROTOCOL : variables[name]
  if (protocol === PROTOCOL) return []
  return [`${name}: ${protocol} is not supported; traces are sent as ${PROTOCOL}, usually to port 4318`]
}

function listOf(text: string): string[] {
  return text.split(',').map((name) => name.trim().toLowerCase())
}
