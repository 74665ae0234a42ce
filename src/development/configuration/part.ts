import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { formatConfigIssue } from '../../config/config-issue.ts'
import type { ConfigurationInput } from '../../config/schema.ts'
import { ControlError } from '../control/errors.ts'
import { parseInput, serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies, Reloaded } from '../part.ts'
import { mergePatch } from './merge-patch.ts'
import { redactConfiguration } from './secrets.ts'

/** A patch of the configuration: null removes a setting, an object patches the entries of a list by id. */
export type ConfigurationPatch = { readonly [name: string]: unknown }

export type Changed = Exclude<Reloaded, { readonly issues: unknown }>

export interface ConfigurationPart extends Part {
  /** Patches the configuration in memory. @throws ControlError that tells every fault; then nothing has changed. */
  readonly configure: (patch: ConfigurationPatch) => Promise<Changed>
}

const patchSchema = z.record(z.string(), z.unknown(), { error: 'invalid value; expected a JSON object' })

/** Serves the configuration (L20). */
export function createConfigurationPart({ shared, running }: PartDependencies): ConfigurationPart {
  const patch = shared.define('configuration.patch', (given: ConfigurationPatch) =>
    running().patch(mergePatch(running().input(), given) as ConfigurationInput),
  )
  const restore = shared.define('configuration.restore', () => running().restore())
  shared.keep(
    'configuration',
    () => running().patched() ?? null,
    async (input: ConfigurationInput | null) => {
      if (input) await running().patch(input)
    },
  )

  async function configure(given: unknown): Promise<Changed> {
    const [result] = await patch(parseInput(patchSchema, given))
    if (!('issues' in result)) return result
    throw new ControlError(400, 'invalid_configuration', result.issues.map(formatConfigIssue).join('; '))
  }

  return {
    configure,
    resets: { configuration: () => restore(undefined) },
    routes(app: FastifyInstance) {
      serveMethods(app, '/configuration', {
        GET: async () => redactConfiguration(running().input()),
        PATCH: async ({ body }) => configure(body),
      })
    },
  }
}
