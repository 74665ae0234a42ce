import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { type ConfigIssue, check, formatPath } from './config-issue.ts'
import { expected, milliseconds, text, wholeNumber } from './value-schemas.ts'

/** A closed list: `prod` would be served as what is not production. */
const NODE_ENVS = ['development', 'test', 'production'] as const
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** How many processes serve: `auto` is as many as there are cores. */
const workers = text('auto, or a whole number from 1 to 64', /^(?:auto|[1-9]|[1-5][0-9]|6[0-4])$/)
  .transform((value) => (value === 'auto' ? availableParallelism() : Number(value)))
  .default(1)

/** What the process takes from its environment. An empty variable counts as one that is not set. */
const environmentSchema = z.object({
  TRIMINT_CONFIG: z.string().optional(),
  HOST: z.string().default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(8080),
  METRICS_PORT: wholeNumber(0, 65_535).optional(),
  WORKERS: workers,
  LOG_LEVEL: z.enum(LOG_LEVELS, expected(LOG_LEVELS.join(', '))).default('info'),
  NODE_ENV: z.enum(NODE_ENVS, expected(NODE_ENVS.join(', '))).default('development'),
  DRAIN_DELAY: milliseconds('10m').default(5_000),
  DRAIN_TIMEOUT: milliseconds('1h').default(30_000),
})

/** Checked; `DRAIN_DELAY` and `DRAIN_TIMEOUT` in milliseconds. */
export type Environment = z.output<typeof environmentSchema>

/** Environment variables as the system hands them over. */
export type Variables = Readonly<Record<string, string | undefined>>

/**
 * Reads and checks the environment. With faults, what is faulty has its default, so that the configuration can be looked at
 * as well and everything be told in one go.
 */
export function readEnvironment(variables: Variables): { environment: Environment; issues: ConfigIssue[] } {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  const checked = check(environmentSchema, set)
  if ('data' in checked) return { environment: checked.data, issues: [] }
  for (const { path } of checked.problems) delete set[String(path[0])]
  const issues = checked.problems.map(({ path, message }) => ({ file: 'environment', path: formatPath(path), message }))
  return { environment: environmentSchema.parse(set), issues }
}

export function isProduction(environment: Environment): boolean {
  return environment.NODE_ENV === 'production'
}
