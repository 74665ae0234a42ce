import type { FastifyInstance } from 'fastify'
import type { LoadResult } from '../config/load.ts'
import type { ConfigurationInput } from '../config/schema.ts'
import { type Active, type ReloadDependencies, type ReloadResult, reload } from './reload.ts'

/** Changes of the configuration in force, one after the other. */
export interface ConfigurationChanges {
  /** Puts a configuration in force, and ends a patch. */
  reload(load: () => LoadResult): Promise<ReloadResult>
  /** Puts a configuration in force until {@link restore} or the next reload. */
  patch(load: () => LoadResult): Promise<ReloadResult>
  /** Goes back to the configuration before the first patch. */
  restore(): Promise<void>
  /** Returns the patched configuration as it would be written, or undefined. */
  patched(): ConfigurationInput | undefined
  /** Resolves once the changes so far are complete. */
  settled(): Promise<unknown>
  /** Closes every app. */
  close(): Promise<void>
}

export interface ChangesDependencies extends ReloadDependencies {
  /** During a shutdown, changes do nothing. */
  readonly isDraining: () => boolean
  /** Called after each change. */
  readonly onChanged: () => void
}

const UNCHANGED: ReloadResult = { changed: [], restart: [] }

export function createConfigurationChanges(dependencies: ChangesDependencies): ConfigurationChanges {
  const { active, listener, logger, isDraining, onChanged } = dependencies
  let changing: Promise<unknown> = Promise.resolve()
  /** What was in force before the first patch. Its app is kept, so that a restore does not wait for a new one. */
  let before: Active | undefined
  let closing: Promise<unknown> = Promise.resolve()

  function enqueue<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = changing.then(change).finally(onChanged)
    changing = result.catch((err: unknown) => logger.error({ event: 'configuration.refused', err }))
    return result
  }

  /** Closes an app whose requests may still be in progress. */
  function closeLater(app: FastifyInstance): void {
    closing = Promise.all([closing, app.close()])
  }

  return {
    reload: (load) =>
      enqueue(async () => {
        if (isDraining()) return UNCHANGED
        const result = await reload(load(), dependencies)
        if (before && !('issues' in result)) {
          closeLater(before.app)
          before = undefined
        }
        return result
      }),
    patch: (load) =>
      enqueue(async () => {
        if (isDraining()) return UNCHANGED
        const kept = before ?? { ...active }
        const result = await reload(load(), { ...dependencies, kept: kept.app })
        if (!('issues' in result)) before = kept
        return result
      }),
    restore: () =>
      enqueue(async () => {
        if (!before || isDraining()) return
        const { app: patched } = active
        if (before.configuration.tls) listener.setCertificate(before.configuration.tls)
        listener.serve(before.app)
        Object.assign(active, before)
        before = undefined
        closeLater(patched)
      }),
    patched: () => (before ? active.input : undefined),
    settled: () => changing,
    async close() {
      await Promise.all([active.app.close(), before?.app.close(), closing])
    },
  }
}
