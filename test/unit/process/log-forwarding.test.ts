import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { forwardLines, type LineDestination } from '../../../src/process/cluster/log-forwarding.ts'

function createDestination(takes = true) {
  const written: string[] = []
  const events = new EventEmitter()
  const destination: LineDestination = Object.assign(events, {
    write(lines: string) {
      written.push(lines)
      return takes
    },
  })
  return { destination, written, emit: (event: 'drain' | 'error') => events.emit(event) }
}

test('lines come whole, in whatever pieces they were sent, and whoever else writes meanwhile', async () => {
  const { destination, written } = createDestination()
  const [one, other] = [new PassThrough(), new PassThrough()]
  forwardLines(one, destination)
  forwardLines(other, destination)
  const euro = Buffer.from('{"€":1}\n')
  one.write(euro.subarray(0, 3))
  await sleep(50)
  expect(written).toEqual([])
  other.write('{"a":1}\n{"a":')
  await sleep(50)
  one.write(euro.subarray(3))
  other.write('2}\n')
  await sleep(50)
  expect(written.join('').trimEnd().split('\n').toSorted()).toEqual(['{"a":1}', '{"a":2}', '{"€":1}'])
  for (const lines of written) expect(lines).toMatch(/\n$/)
})

test('what comes while lines are gathered comes along', async () => {
  const { destination, written } = createDestination()
  const from = new PassThrough()
  forwardLines(from, destination)
  from.write('one\n')
  await sleep(5)
  from.write('two\n')
  from.write('three\n')
  await expect.poll(() => written.join('')).toBe('one\ntwo\nthree\n')
})

test('what a process has begun to write when it dies stands on a line of its own', async () => {
  const { destination, written } = createDestination()
  const from = new PassThrough()
  forwardLines(from, destination)
  from.end('{"whole":1}\n{"brok')
  await expect.poll(() => written.join('')).toBe('{"whole":1}\n{"brok\n')
})

test.each(['drain', 'error'] as const)(
  'a destination that is full is given nothing more until its %s',
  async (event) => {
    const { destination, written, emit } = createDestination(false)
    const from = new PassThrough()
    forwardLines(from, destination)
    from.write('one\n')
    await expect.poll(() => written).toEqual(['one\n'])
    from.write('two\n')
    await sleep(60)
    expect(written).toEqual(['one\n'])
    emit(event)
    await expect.poll(() => written).toEqual(['one\n', 'two\n'])
  },
)

test('where nobody reads any more, lines pile up nowhere', async () => {
  // As pino leaves a destination whose pipe is broken.
  const { destination, written } = createDestination()
  Object.assign(destination, { write: (lines: string) => void written.push(lines) })
  const from = new PassThrough()
  forwardLines(from, destination)
  for (const line of ['one\n', 'two\n']) {
    from.write(line)
    await expect.poll(() => written.at(-1)).toBe(line)
  }
})
