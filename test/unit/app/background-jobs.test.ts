import { expect, test } from 'vitest'
import { createStoreErrorLog } from '../../../src/app/background-jobs.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { createFrozenClock } from '../../support/time.ts'

const DAY = 86_400_000

test('a store that is away is said once in ten seconds, also where the clock is set back in between', () => {
  const clock = createFrozenClock()
  const lines: string[] = []
  const logger = createLogger('warn', clock, { write: (line) => void lines.push(line) })
  const onStoreError = createStoreErrorLog({ clock, logger })
  const said = (): number => {
    onStoreError(new Error('away'))
    return lines.length
  }
  expect([said(), said()]).toEqual([1, 1])
  clock.advance(9_999)
  expect(said()).toBe(1)
  clock.advance(1)
  expect(said()).toBe(2)
  clock.advance(-DAY)
  expect([said(), said()]).toEqual([3, 3])
})
