import { createDemoConfiguration } from '../config/demo-config.ts'
import { readEnvironment } from '../config/environment.ts'
import { createConfigurationLoader, type LoadResult, parseConfiguration } from '../config/load.ts'
import type { Clock } from '../core/clock.ts'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import type { Randomness } from '../core/randomness.ts'
import type { TrimintOptions } from './trimint.ts'

/** Creates what loads from the options' source: an object, a file, or the demo. */
export function createLoader(options: TrimintOptions, clock: Clock, randomness: Randomness): () => LoadResult {
  const { configuration, configFile, variables = {}, production = false, workers = 1 } = options
  if (configFile !== undefined) {
    const NODE_ENV = production ? 'production' : 'development'
    const { environment } = readEnvironment({ NODE_ENV, WORKERS: String(workers), TRIMINT_CONFIG: configFile })
    const load = createConfigurationLoader(environment, variables)
    return () => load(clock())
  }
  const publicUrl = `http://127.0.0.1:${options.port || 8080}`
  const input = configuration ?? {
    ...createDemoConfiguration({
      publicUrl,
      key: Buffer.from(randomness.bytes(MIN_KEY_BYTES)).toString('base64url'),
    }),
    store: 'sqlite::memory:',
  }
  return () => parseConfiguration(input, { now: clock(), production })
}
