import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { type ConfigIssue, check, formatPath } from './config-issue.ts'
import { expected, milliseconds, text, wholeNumber } from './value-schemas.ts'

/** A closed list: a misspelled `prod` must not run without the checks of production. */
const NODE_ENVS = ['development', 'test', 'production'] as const
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

function word<const Words extends readonly [string, ...string[]]>(words: Words) {
  const allowed = `one of ${words.join(', ')}`
  return z.enum(words, expected(allowed)).meta({ type: allowed })
}

/** What the process reads from its environment. docs/configuration.md is generated from it. */
export const environmentSchema = z.object({
  TRIMINT_CONFIG: z.string().optional().meta({
    type: 'a path',
    description: 'The configuration file. Without it: `./trimint.yaml` if that exists, else the built-in demo.',
  }),
  HOST: z
    .string()
    .default('127.0.0.1')
    .meta({ type: 'an address or a host name', description: 'Address to listen on.' }),
  PORT: wholeNumber(0, 65_535).default(8080).meta({ description: 'Port to listen on; 0 takes a free port.' }),
  METRICS_PORT: wholeNumber(0, 65_535).optional().meta({
    description: 'Separate port for `/metrics`. Without it, `/metrics` is on the main port.',
  }),
  METRICS_HOST: z.string().default('127.0.0.1').meta({
    type: 'an address or a host name',
    description: 'Address of `METRICS_PORT`. Set `0.0.0.0` in a container, where Prometheus comes from outside.',
  }),
  WORKERS: text('auto, or a whole number from 1 to 64', /^(?:auto|[1-9]|[1-5][0-9]|6[0-4])$/)
    .transform((value) => (value === 'auto' ? availableParallelism() : Number(value)))
    .prefault('1')
    .meta({ description: 'Processes that serve the port; `auto` starts one for each processor core.' }),
  LOG_LEVEL: word(LOG_LEVELS).default('info').meta({ description: 'Least severe level that is logged.' }),
  NODE_ENV: word(NODE_ENVS)
    .default('development')
    .meta({ description: '`production` requires a configuration file and rejects demo secrets and `plain:` secrets.' }),
  DRAIN_DELAY: milliseconds('10m')
    .prefault('5s')
    .meta({ description: 'After SIGTERM: how long Trimint still accepts requests, while `/readyz` answers 503.' }),
  DRAIN_TIMEOUT: milliseconds('1h')
    .prefault('30s')
    .meta({ description: 'After SIGTERM: how long a shutdown may take, including `DRAIN_DELAY`.' }),
})

/** The checked environment; `DRAIN_DELAY` and `DRAIN_TIMEOUT` in milliseconds. */
export type Environment = z.output<typeof environmentSchema>

/** Environment variables as the system provides them. */
export type Variables = Readonly<Record<string, string | undefined>>

/**
 * Reads and checks the environment. An empty variable counts as not set. An invalid variable gets its default, so that
 * the issues of the configuration can be reported together with those of the environment.
 */
export function readEnvironment(variables: Variables): { environment: Environment; issues: ConfigIssue[] } {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  const checked = check(environmentSchema, set)
  if ('data' in checked) return { environment: checked.data, issues: [] }
  for (const { path } of checked.issues) delete set[String(path[0])]
  const issues = checked.issues.map(({ path, message }) => ({ file: 'environment', path: formatPath(path), message }))
  return { environment: environmentSchema.parse(set), issues }
}

export function isProduction(environment: Environment): boolean {
  return environment.NODE_ENV === 'production'
}
