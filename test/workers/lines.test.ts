import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { handOnLines, type LineDestination } from '../../src/workers/lines.ts'

function createDestination(takes = true) {
  const written: string[] = []
  const waiting: (() => void)[] = []
  const destination: LineDestination = {
    write(lines) {
      written.push(lines)
      return takes
    },
    once: (_event, listener) => waiting.push(listener),
  }
  return {
    destination,
    written,
    drain: () => {
      for (const listener of waiting.splice(0)) listener()
    },
  }
}

test('lines come whole, in whatever pieces they were sent, and whoever else writes meanwhile', async () => {
  const { destination, written } = createDestination()
  const [one, other] = [new PassThrough(), new PassThrough()]
  handOnLines(one, destination)
  handOnLines(other, destination)
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
  handOnLines(from, destination)
  from.write('one\n')
  await sleep(5)
  from.write('two\n')
  from.write('three\n')
  await expect.poll(() => written.join('')).toBe('one\ntwo\nthree\n')
})

test('what a process has begun to write when it dies stands on a line of its own', async () => {
  const { destination, written } = createDestination()
  const from = new PassThrough()
  handOnLines(from, destination)
  from.end('{"whole":1}\n{"brok')
  await expect.poll(() => written.join('')).toBe('{"whole":1}\n{"brok\n')
})

test('a destination that is full is given nothing more until it has room', async () => {
  const { destination, written, drain } = createDestination(false)
  const from = new PassThrough()
  handOnLines(from, destination)
  from.write('one\n')
  await expect.poll(() => written).toEqual(['one\n'])
  from.write('two\n')
  await sleep(60)
  expect(written).toEqual(['one\n'])
  drain()
  await expect.poll(() => written).toEqual(['one\n', 'two\n'])
})
