// The process that the soak test measures: Trimint with a clock that runs fast and can be set ahead, so that tokens
// expire within the test. It takes one command at a time from its parent.

import pino from 'pino'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import { systemClock, systemUptime } from '../../../src/app/system-clock.ts'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import type { Clock } from '../../../src/core/clock.ts'
import { createLogger } from '../../../src/observability/logger.ts'

export interface SoakSettings {
  readonly configuration: ConfigurationInput
  /** How many seconds of Trimint's clock pass in one second. */
  readonly speed: number
}

export type SoakCommand =
  | { readonly advanceMs: number }
  /** Reloads the same configuration. */
  | 'reload'
  /** Collects garbage. */
  | 'measure'

/** The URL once it listens; the bytes of the heap after each command. */
export type SoakAnswer = { readonly url: string } | { readonly heapUsed: number }

const { configuration, speed } = JSON.parse(process.argv[2] ?? '') as SoakSettings
const beganAt = systemClock()
let aheadMs = 0
const uptime: Clock = () => systemUptime() * speed + aheadMs
const clock: Clock = () => Math.floor(beganAt + uptime())

// Writes every line, as in production, to where it takes no space.
const logger = createLogger('info', clock, pino.destination({ dest: '/dev/null', sync: false }))
const trimint = await startTrimint({ configuration, clock, uptime, logger })

async function execute(command: SoakCommand): Promise<SoakAnswer> {
  if (command === 'reload') await trimint.reload()
  else if (command !== 'measure') aheadMs += command.advanceMs
  globalThis.gc?.()
  return { heapUsed: process.memoryUsage().heapUsed }
}

const answer = (message: SoakAnswer): void => void process.send?.(message)
process.on('message', (command: SoakCommand) => void execute(command).then(answer))
process.once('disconnect', () => process.exit())
answer({ url: trimint.url })
