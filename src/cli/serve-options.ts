import { parseArgs } from 'node:util'

/** The options of `trimint serve`, and the environment variable that each one replaces. */
export const SERVE_OPTIONS = {
  config: {
    argument: '<file>',
    variable: 'TRIMINT_CONFIG',
    description: 'the configuration file; default: TRIMINT_CONFIG, or ./trimint.yaml, or the built-in demo',
  },
  host: { argument: '<address>', variable: 'HOST', description: 'the address to listen on; default: HOST' },
  port: { argument: '<number>', variable: 'PORT', description: 'the port, 0 for a free one; default: PORT' },
} as const

export type ServeOptions = { readonly [Name in keyof typeof SERVE_OPTIONS]?: string | undefined }

/** Values for environment variables. */
export type ServeVariables = Readonly<Record<string, string>>

/**
 * Reads the command line of a server: `serve` or no command, and its options. It does not load the other commands.
 *
 * @returns undefined for every other command line, also for one with an error.
 */
export function readServeOptions(words: readonly string[]): ServeVariables | undefined {
  const args = words[0] === 'serve' ? words.slice(1) : [...words]
  const option = { type: 'string' } as const
  try {
    const { values } = parseArgs({ args, options: { config: option, host: option, port: option } })
    return toVariables(values)
  } catch {
    return undefined
  }
}

/** Returns the environment variables that have the effect of options. */
export function toVariables(options: ServeOptions): ServeVariables {
  const entries = Object.entries(SERVE_OPTIONS).map(([name, { variable }]) => [
    variable,
    options[name as keyof ServeOptions],
  ])
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}
