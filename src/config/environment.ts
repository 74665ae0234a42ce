import { z } from 'zod'
import { type Fault, findProblems, formatPath } from './fault.ts'
import { expected, milliseconds, wholeNumber } from './values.ts'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** What the process takes from its environment. An empty variable counts as one that is not set. */
const environmentSchema = z.object({
  TRIMINT_CONFIG: z.string().optional(),
  HOST: z.string().default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(8080),
  METRICS_PORT: wholeNumber(0, 65_535).optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS, expected(LOG_LEVELS.join(', '))).default('info'),
  NODE_ENV: z.string().default('development'),
  DRAIN_DELAY: milliseconds('10m').default(5_000),
  DRAIN_TIMEOUT: milliseconds('1h').default(30_000),
})

/** Checked; `DRAIN_DELAY` and `DRAIN_TIMEOUT` in milliseconds. */
export type Environment = z.output<typeof environmentSchema>

/** Environment variables as the system hands them over. */
export type Variables = Readonly<Record<string, string | undefined>>

/** Reads and checks the environment; every fault at once. */
export function readEnvironment(
  variables: Variables,
): { readonly environment: Environment } | { readonly faults: Fault[] } {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  const result = environmentSchema.safeParse(set)
  if (result.success) return { environment: result.data }
  const faults = findProblems(environmentSchema, set).map(({ path, message }) => ({
    file: 'environment',
    path: formatPath(path),
    message,
  }))
  return { faults }
}

export function isProduction(environment: Environment): boolean {
  return environment.NODE_ENV === 'production'
}
