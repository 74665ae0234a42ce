import { setImmediate as endOfTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Call } from '../../../src/store/sqlite/calls.ts'
import { type Batch, createWriter } from '../../../src/store/sqlite/writer.ts'

const TIMEOUT_MS = 1_000
/** Each quarter of the timeout ends in a later callback of the event loop. */
const MARGIN_MS = 100
/** Within the last quarter of the timeout. */
const LATE_MS = 800

const TOO_SLOW = 'the store is too slow; no further writes until it answers'
const NOT_ANSWERED = `the store did not answer within ${TIMEOUT_MS} ms`

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] }))
afterEach(() => void vi.useRealTimers())

const call = (operation: string): Call => ['store', operation]

/** Opens a writer whose connection answers when a test says so. */
function openWriter() {
  const sent: Batch[] = []
  const refused: number[] = []
  const onFatal = vi.fn()
  const link = {
    send: (batch: Batch) => void sent.push(batch),
    refuse: (id: number) => void refused.push(id),
    close: vi.fn(async () => undefined),
  }
  const { writer, receive, fail } = createWriter({ onFatal, timeoutMs: TIMEOUT_MS, create: true }, link)
  /** Answers the call of a batch with its own operation. */
  function answer(at: number): void {
    const { id = 0, calls = [] } = sent[at] ?? {}
    receive({ id, outcomes: calls.map(([, operation]) => ({ value: operation })) })
  }
  return { writer, receive, fail, answer, sent, refused, onFatal, link }
}

test('sends the writes of one callback of the event loop together, and its reads together', async () => {
  const { writer, answer, sent } = openWriter()
  const results = [writer.write(call('a')), writer.read(call('b')), writer.write(call('c')), writer.read(call('d'))]
  await endOfTurn()
  expect(sent).toEqual([
    { id: 1, isRead: false, calls: [call('a'), call('c')] },
    { id: 2, isRead: true, calls: [call('b'), call('d')] },
  ])
  for (const at of [1, 0]) answer(at)
  expect(await Promise.all(results)).toEqual(['a', 'b', 'c', 'd'])
})

test('rejects a call with its own error, and one whose outcome is missing', async () => {
  const { writer, receive } = openWriter()
  const [failed, passed, missing] = [writer.write(call('a')), writer.write(call('b')), writer.write(call('c'))]
  await endOfTurn()
  const error = new Error('constraint failed')
  receive({ id: 1, outcomes: [{ error }, { value: 1 }] })
  await expect(failed).rejects.toBe(error)
  expect(await passed).toBe(1)
  await expect(missing).rejects.toBeUndefined()
})

test('refuses a batch that is not answered in time, and ignores an answer after that', async () => {
  const { writer, answer, refused } = openWriter()
  const results = [writer.write(call('a')), writer.write(call('b'))]
  const rejected = Promise.all(results.map((result) => expect(result).rejects.toThrow(NOT_ANSWERED)))
  await endOfTurn()
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS + MARGIN_MS)
  await rejected
  expect(refused).toEqual([1])
  expect(() => answer(0)).not.toThrow()
})

test('rejects further writes at once while one is late, but no reads', async () => {
  const { writer, answer, sent } = openWriter()
  const late = writer.write(call('late'))
  await endOfTurn()
  await vi.advanceTimersByTimeAsync(LATE_MS)
  await expect(writer.write(call('further'))).rejects.toThrow(TOO_SLOW)
  const read = writer.read(call('read'))
  await endOfTurn()
  expect(sent).toHaveLength(2)
  for (const at of [0, 1]) answer(at)
  expect(await Promise.all([late, read])).toEqual(['late', 'read'])
  const next = writer.write(call('next'))
  await endOfTurn()
  answer(2)
  expect(await next).toBe('next')
})

test('takes writes while a read is late', async () => {
  const { writer, answer } = openWriter()
  const late = writer.read(call('late'))
  await endOfTurn()
  await vi.advanceTimersByTimeAsync(LATE_MS)
  const write = writer.write(call('write'))
  await endOfTurn()
  answer(1)
  expect(await write).toBe('write')
  answer(0)
  await late
})

test('takes writes again once a late one has been refused', async () => {
  const { writer, answer } = openWriter()
  const rejected = expect(writer.write(call('late'))).rejects.toThrow(NOT_ANSWERED)
  await endOfTurn()
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS + MARGIN_MS)
  await rejected
  const next = writer.write(call('next'))
  await endOfTurn()
  answer(1)
  expect(await next).toBe('next')
})

test('rejects what is pending, gathered or later after a failure, and reports it', async () => {
  const { writer, fail, sent, refused, onFatal } = openWriter()
  const pending = writer.write(call('pending'))
  await endOfTurn()
  const gathered = writer.read(call('gathered'))
  const failure = new Error('disk I/O error')
  fail(failure)
  const all = [pending, gathered, writer.write(call('later')), writer.read(call('later'))]
  await Promise.all(all.map((result) => expect(result).rejects.toBe(failure)))
  expect(onFatal.mock.calls).toEqual([[failure]])
  expect(sent).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS + MARGIN_MS)
  expect(refused).toEqual([])
})

test('closes its connection once, after the last answer', async () => {
  const { writer, answer, link } = openWriter()
  const last = writer.write(call('last'))
  const closing = [writer.close(), writer.close()]
  await endOfTurn()
  expect(link.close).not.toHaveBeenCalled()
  answer(0)
  await Promise.all([last, ...closing])
  expect(link.close).toHaveBeenCalledTimes(1)
})
