import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createBatch } from '../../../src/http/request-batching.ts'

/** Two requests that come in the same turn and pass two stages, as what they do in which order. */
async function passTwo(createOne: () => (step: () => void) => void): Promise<string[]> {
  const [first, second] = [createOne(), createOne()]
  const done: string[] = []
  for (const request of ['a', 'b']) {
    first(() => {
      done.push(`${request} first`)
      second(() => void done.push(`${request} second`))
    })
  }
  await nextTurn()
  await nextTurn()
  return done
}

describe('a stage', () => {
  test.each([
    ['process.nextTick', process.nextTick],
    ['setImmediate', setImmediate],
  ] as const)('takes each step for all requests of a turn before the next one: %s', async (_name, schedule) => {
    const done = await passTwo(() => createBatch(schedule))
    expect(done).toEqual(['a first', 'b first', 'a second', 'b second'])
  })

  test('takes a step that comes while it takes others with the next ones', async () => {
    const stage = createBatch(process.nextTick)
    const done: number[] = []
    stage(() => {
      stage(() => void done.push(3))
      done.push(1)
    })
    stage(() => void done.push(2))
    await nextTurn()
    expect(done).toEqual([1, 2, 3])
  })

  test('takes every step, whatever one of them throws, and throws it afterwards', () => {
    const run: (() => void)[] = []
    const thrown: (() => void)[] = []
    const stage = createBatch((step) => void run.push(step))
    const done: string[] = []
    stage(() => {
      throw new Error('broken')
    })
    stage(() => void done.push('whole'))
    const { nextTick } = process
    process.nextTick = (step: () => void) => void thrown.push(step)
    try {
      run[0]?.()
    } finally {
      process.nextTick = nextTick
    }
    expect(done).toEqual(['whole'])
    expect(thrown).toHaveLength(1)
    expect(thrown[0]).toThrow('broken')
  })
})
