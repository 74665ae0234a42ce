import { expect, test } from 'vitest'
import { planTracing } from '../../../src/observability/tracing-environment.ts'

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

test.each([
  [{}, false],
  [{ OTEL_SERVICE_NAME: '' }, false],
  [ENDPOINT, true],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }, false],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }, false],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'false' }, true],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: '1' }, true],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, false],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: ' None ' }, false],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: '' }, true],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'otlp' }, true],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, true],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json' }, true],
])('with %j, tracing is on: %s', (variables, isOn) => {
  expect(planTracing(variables)).toEqual({ isOn, warnings: [] })
})

test.each([
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, true, ['OTEL_EXPORTER_OTLP_PROTOCOL: grpc']],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, true, ['OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf']],
  [
    { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' },
    true,
    ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: grpc'],
  ],
  [{ OTEL_TRACES_EXPORTER: 'zipkin' }, false, ['OTEL_TRACES_EXPORTER: zipkin']],
  [{ OTEL_TRACES_EXPORTER: 'otlp, console' }, true, ['OTEL_TRACES_EXPORTER: console']],
  [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, false, []],
])('warns of what is not supported in %j', (variables, isOn, names) => {
  const plan = planTracing(variables)
  expect(plan.isOn).toBe(isOn)
  expect(plan.warnings.map((warning) => warning.split(' is not supported; ')[0])).toEqual(names)
})
