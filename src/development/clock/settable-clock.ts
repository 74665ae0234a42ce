import type { Clock } from '../../core/clock.ts'

/** How the clock differs from the machine's. Times are in milliseconds. */
export interface ClockSetting {
  readonly offset: number
  /** The time at which the clock stands; absent while it runs. */
  readonly frozenAt?: number
}

export interface ClockChange {
  /** Milliseconds to add; negative for the past. */
  readonly advance?: number | undefined
  /** Milliseconds since the epoch. */
  readonly set?: number | undefined
  readonly freeze?: boolean | undefined
}

/** A clock that the control API sets. */
export interface SettableClock {
  readonly now: Clock
  setting(): ClockSetting
  replace(setting: ClockSetting): void
  /** Tells whether it shows another time than the machine, or stands. */
  isOff(): boolean
}

const RUNNING: ClockSetting = { offset: 0 }

export function createSettableClock(systemClock: Clock): SettableClock {
  let setting = RUNNING
  return {
    now: () => setting.frozenAt ?? systemClock() + setting.offset,
    setting: () => setting,
    replace(next) {
      setting = next
    },
    isOff: () => setting.offset !== 0 || setting.frozenAt !== undefined,
  }
}

/**
 * Returns the setting after a change.
 *
 * @param at the machine's time at which it was requested, the same for every process.
 */
export function changeClock(
  setting: ClockSetting,
  { advance = 0, set, freeze }: ClockChange,
  at: number,
): ClockSetting {
  const now = (set ?? setting.frozenAt ?? at + setting.offset) + advance
  const isFrozen = freeze ?? setting.frozenAt !== undefined
  return { offset: now - at, ...(isFrozen ? { frozenAt: now } : {}) }
}
