import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseDuration, timestamp } from '../../config/value-schemas.ts'
import { ControlError } from '../control/errors.ts'
import { parseInput, serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'
import { type ClockChange, type ClockSetting, changeClock, type SettableClock } from './settable-clock.ts'
import type { Timers } from './timers.ts'

const DURATION = 'a duration such as 11m, 500ms or -1h'

function parseAdvance(text: string): number | undefined {
  const durationMs = parseDuration(text.replace(/^[+-]/, ''))
  return text.startsWith('-') && durationMs !== undefined ? -durationMs : durationMs
}

const duration = z.string(DURATION).transform((text, context) => {
  const durationMs = parseAdvance(text)
  if (durationMs !== undefined) return durationMs
  context.addIssue({ code: 'custom', message: `invalid value; expected ${DURATION}` })
  return z.NEVER
})

/** The body of `PATCH /_trimint/clock` (L6). */
export const clockChange = z
  .strictObject({ advance: duration.optional(), set: timestamp.optional(), freeze: z.boolean().optional() })
  .refine(({ advance, set, freeze }) => (advance ?? set ?? freeze) !== undefined, {
    error: 'no change; expected advance or set, freeze, or both',
  })
  .refine(({ advance, set }) => advance === undefined || set === undefined, {
    error: 'both advance and set; expected one of them',
  })

/** The reply of `/_trimint/clock` (L5). */
export const clockReading = z.object({
  now: z.iso.datetime({ precision: 3 }),
  offset: z.number().meta({ description: 'Milliseconds ahead of the machine.' }),
  frozen: z.boolean(),
})

type ClockReading = z.output<typeof clockReading>

/** Trimint's clock, for tests in the same process. Each change resolves once every process follows it. */
export interface ClockControl {
  read(): ClockReading
  /** Moves the clock by a duration such as `11m`; `-1h` moves it back. */
  advance(duration: string): Promise<ClockReading>
  set(time: string | Date): Promise<ClockReading>
  freeze(): Promise<ClockReading>
  /** Lets a frozen clock run on from its time. */
  unfreeze(): Promise<ClockReading>
  /** Returns to the machine's time. */
  reset(): Promise<ClockReading>
}

export interface ClockPart extends Part {
  readonly api: ClockControl
}

/** Beyond these, dates have no four-digit year. */
const [EARLIEST, LATEST] = [0, Date.parse('9999-12-31T23:59:59.999Z')]

/** Serves the clock (L5 to L7). */
export function createClockPart(
  { shared, systemClock }: PartDependencies,
  clock: SettableClock,
  timers: Timers,
): ClockPart {
  async function replace(setting: ClockSetting): Promise<void> {
    clock.replace(setting)
    await timers.runDue()
  }
  shared.keep('clock', clock.setting, replace)
  const change = shared.define('clock.change', ({ change, at }: { change: ClockChange; at: number }) =>
    replace(changeClock(clock.setting(), change, at)),
  )
  const reset = shared.define('clock.reset', () => replace({ offset: 0 }))

  function read(): ClockReading {
    const { frozenAt, offset } = clock.setting()
    const at = systemClock()
    const now = frozenAt ?? at + offset
    return { now: new Date(now).toISOString(), offset: now - at, frozen: frozenAt !== undefined }
  }

  async function apply(input: unknown): Promise<ClockReading> {
    const parsed = parseInput(clockChange, input)
    const at = systemClock()
    const { offset } = changeClock(clock.setting(), parsed, at)
    if (at + offset < EARLIEST || at + offset > LATEST) {
      throw new ControlError(400, 'invalid_request', 'time out of range; expected a year from 1970 to 9999')
    }
    await change({ change: parsed, at })
    return read()
  }

  async function restart(): Promise<ClockReading> {
    await reset(undefined)
    return read()
  }

  return {
    api: {
      read,
      advance: (text) => apply({ advance: text }),
      set: (value) => apply({ set: typeof value === 'string' ? value : value.toISOString() }),
      freeze: () => apply({ freeze: true }),
      unfreeze: () => apply({ freeze: false }),
      reset: restart,
    },
    resets: { clock: restart },
    routes(app: FastifyInstance) {
      serveMethods(app, '/clock', {
        GET: async () => read(),
        PATCH: async ({ body }) => apply(body),
        DELETE: restart,
      })
    },
  }
}
