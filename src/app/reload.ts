import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { findChangedPaths } from '../config/config-diff.ts'
import { type ConfigIssue, formatConfigIssue } from '../config/config-issue.ts'
import type { LoadResult } from '../config/load.ts'
import type { Configuration, ConfigurationInput } from '../config/schema.ts'
import type { Listener } from '../http/listener.ts'

export type ReloadResult =
  | {
      /** The paths of all settings that differ; never their values. */
      readonly changed: readonly string[]
      /** The paths of settings that take effect only at the next start. */
      readonly restart: readonly string[]
    }
  /** The configuration is unusable, and the previous one stays in force. */
  | { readonly issues: readonly ConfigIssue[] }

/** The app and the configuration in force. */
export interface Active {
  app: FastifyInstance
  configuration: Configuration
  /** As it was written. */
  input: ConfigurationInput
}

export interface ReloadDependencies {
  readonly active: Active
  readonly listener: Listener
  readonly logger: Logger
  readonly build: (configuration: Configuration) => Promise<FastifyInstance>
  /** An app that stays open when it is replaced. */
  readonly kept?: FastifyInstance
}

/** Replaces the configuration in force by another one: completely, or not at all if it has an issue. */
export async function reload(loaded: LoadResult, dependencies: ReloadDependencies): Promise<ReloadResult> {
  const { active, listener, logger, build, kept } = dependencies
  if ('issues' in loaded) {
    logger.error({ event: 'configuration.refused', faults: loaded.issues.map(formatConfigIssue) })
    return { issues: loaded.issues }
  }
  const next = loaded.configuration
  const changed = findChangedPaths(active.configuration, next)
  const usable = keepOpened(next, active.configuration)

  const replacement = await build(usable)
  if (usable.tls) listener.setCertificate(usable.tls)
  listener.serve(replacement)
  const replaced = active.app
  active.app = replacement
  active.configuration = usable
  active.input = loaded.input
  if (replaced !== kept) await replaced.close()

  for (const warning of loaded.warnings) logWarning(warning, logger)
  const restart = findChangedPaths(usable, next)
  logger.info({ event: 'configuration.reloaded', changed, ...(restart.length > 0 ? { restart } : {}) })
  return { changed, restart }
}

/** Keeps the store, the control API, and whether the port uses TLS: none can change before the next start. */
function keepOpened(next: Configuration, { store, control, tls }: Configuration): Configuration {
  const keepsTls = (tls === undefined) === (next.tls === undefined)
  return { ...next, store, control, tls: keepsTls ? next.tls : tls }
}

export function logWarning(warning: ConfigIssue, logger: Logger): void {
  logger.warn({ event: 'configuration.warning', warning: formatConfigIssue(warning) })
}
