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

test('writes whole lines, however they were split and interleaved with those of another process', async () => {
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

test('writes lines that arrive during the delay together with earlier ones', async () => {
  const { destination, written } = createDestination()
  const from = new PassThrough()
  forwardLines(from, destination)
  from.write('one\n')
  await sleep(5)
  from.write('two\n')
  from.write('three\n')
  await expect.poll(() => written.join('')).toBe('one\ntwo\nthree\n')
})

test('completes an unfinished line with a line break when the process ends', async () => {
  const { destination, written } = createDestination()
  const from = new PassThrough()
  forwardLines(from, destination)
  from.end('{"whole":1}\n{"brok')
  await expect.poll(() => written.join('')).toBe('{"whole":1}\n{"brok\n')
})

test.each(['drain', 'error'] as const)(
  'writes nothing more to a full destination until its %s event',
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

test('does not queue lines when the reader of the destination is gone', async () => {
  // pino replaces `write` like this when the pipe is broken.
  const { destination, written } = createDestination()
  Object.assign(destination, { write: (lines: string) => void written.push(lines) })
  const from = new PassThrough()
  forwardLines(from, destination)
  for (const line of ['one\n', 'two\n']) {
    from.write(line)
    await expect.poll(() => written.at(-1)).toBe(line)
  }
})
