// The service of soak.ts: the real one but for its clock, which goes faster than time and can be set ahead, so that what expires does
// so within the run. Told what to do by messages, one at a time. Not a program of its own.

import pino from 'pino'
import { buildServer } from '../src/app/server.ts'
import { systemClock, systemUptime } from '../src/app/system-clock.ts'
import { systemRandomness } from '../src/app/system-randomness.ts'
import { type ConfigurationInput, configurationSchema } from '../src/config/schema.ts'
import type { Clock } from '../src/core/clock.ts'
import { createInstance } from '../src/core/heartbeat.ts'
import { createJumpResistantClock } from '../src/core/jump-resistant-clock.ts'
import { createRevocations } from '../src/core/revocations.ts'
import { createListener } from '../src/http/listener.ts'
import { createLogger } from '../src/observability/logger.ts'
import { createMetrics } from '../src/observability/metrics.ts'
import { instrumentStores } from '../src/store/instrumented.ts'
import { openStores } from '../src/store/open-stores.ts'

export interface SoakSettings {
  readonly configuration: ConfigurationInput
  /** How many seconds of the service's clock pass in one. */
  readonly speed: number
}

export type SoakCommand =
  | { readonly advance: number }
  /** Puts the same configuration in force again, with everything that a reload takes down and builds up. */
  | 'reload'
  /** Clears the heap of what nobody holds, and says what is left. */
  | 'measure'

/** Bytes of the heap, after a `measure`. */
export type SoakAnswer = { readonly url: string } | { readonly heapUsed: number }

const { configuration: input, speed } = JSON.parse(process.argv[2] ?? '') as SoakSettings
const configuration = configurationSchema.parse(input)
const beganAt = systemClock()
let ahead = 0
const uptime: Clock = () => systemUptime() * speed + ahead
const clock: Clock = () => Math.floor(beganAt + uptime())

const metrics = createMetrics(clock)
const stores = instrumentStores(
  await openStores(configuration.store, { onError: () => undefined, onFatal: () => undefined }),
  metrics,
  systemUptime,
)
const parts = {
  configuration,
  clock,
  jumpResistantClock: createJumpResistantClock(clock, uptime),
  randomness: systemRandomness,
  // Every line is made and written, to where it takes no room.
  logger: createLogger('info', clock, pino.destination({ dest: '/dev/null', sync: false })),
  metrics,
  exposeMetrics: true,
  stores,
  revocations: createRevocations({ store: stores.revocations, clock, uptime }),
  guardMemory: { counts: new Map() },
  instance: createInstance(systemRandomness.uuid()),
  isDraining: () => false,
}
let app = await buildServer(parts)
await app.ready()
const listener = createListener(undefined)
listener.serve(app)

async function reload(): Promise<void> {
  const replaced = app
  app = await buildServer(parts)
  await app.ready()
  listener.serve(app)
  await replaced.close()
}

async function obey(command: SoakCommand): Promise<SoakAnswer> {
  if (command === 'reload') await reload()
  else if (command !== 'measure') ahead += command.advance
  globalThis.gc?.()
  return { heapUsed: process.memoryUsage().heapUsed }
}

const answer = (said: SoakAnswer): void => void process.send?.(said)
process.on('message', (command: SoakCommand) => void obey(command).then(answer))
process.once('disconnect', () => process.exit())
answer({ url: await listener.listen('127.0.0.1', 0) })
