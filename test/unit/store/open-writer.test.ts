import { DatabaseSync } from 'node:sqlite'
import { expect, test, vi } from 'vitest'
import type { Call } from '../../../src/store/sqlite/calls.ts'
import { createLocalWriter } from '../../../src/store/sqlite/open-writer.ts'

const IO_ERROR = Object.assign(new Error('disk I/O error'), { errcode: 1034 })

const ADD: Call = ['store', 'add']
const FAIL: Call = ['store', 'fail']

function openWriter(perform: (call: Call) => unknown = ([, operation]) => operation) {
  const onFatal = vi.fn()
  const writer = createLocalWriter(new DatabaseSync(':memory:'), perform, { onFatal, timeoutMs: 50, create: true })
  return { writer, onFatal }
}

const failOn = ([, operation]: Call) => {
  if (operation === 'fail') throw IO_ERROR
  return operation
}

test('answers each call with its own result', async () => {
  const { writer } = openWriter(([, operation]) => operation)
  const results = await Promise.all([
    writer.write(['a', 'first']),
    writer.write(['a', 'second']),
    writer.read(['a', 'third']),
  ])
  expect(results).toEqual(['first', 'second', 'third'])
  await writer.close()
})

test.each(['write', 'read'] as const)(
  'gathers each %s of one callback of the event loop, promises included',
  async (kind) => {
    const { writer } = openWriter()
    const seen: string[] = []
    const first = writer[kind](ADD).then(() => seen.push('answered'))
    await undefined
    seen.push('later in the same callback')
    await Promise.all([first, writer[kind](ADD)])
    expect(seen).toEqual(['later in the same callback', 'answered'])
    await writer.close()
  },
)

test.each(['write', 'read'] as const)(
  'reports an I/O error of a %s once, and rejects every call from then on',
  async (kind) => {
    const { writer, onFatal } = openWriter(failOn)
    await expect(writer[kind](FAIL)).rejects.toBe(IO_ERROR)
    expect(onFatal.mock.calls).toEqual([[IO_ERROR]])
    await expect(writer.write(ADD)).rejects.toBe(IO_ERROR)
    await expect(writer.read(ADD)).rejects.toBe(IO_ERROR)
    expect(() => writer.assertUsable()).toThrow(IO_ERROR)
    expect(onFatal).toHaveBeenCalledTimes(1)
    await writer.close()
  },
)

test('rejects the other writes of the transaction in which an I/O error occurs, and those that were gathered', async () => {
  const { writer, onFatal } = openWriter(failOn)
  const [failed, gathered] = [writer.read(FAIL), writer.write(ADD)]
  await Promise.all([expect(failed).rejects.toBe(IO_ERROR), expect(gathered).rejects.toBe(IO_ERROR)])
  const { writer: another } = openWriter(failOn)
  const results = await Promise.allSettled([another.write(ADD), another.write(FAIL)])
  expect(results).toMatchObject(Array(2).fill({ status: 'rejected', reason: IO_ERROR }))
  expect(onFatal).toHaveBeenCalledTimes(1)
  await Promise.all([writer.close(), another.close()])
})

test('waits for earlier calls when it closes, rejects later ones, and may be closed twice', async () => {
  const { writer } = openWriter()
  const earlier = writer.write(ADD)
  const closing = writer.close()
  await expect(writer.write(ADD)).rejects.toThrow('the store is closed')
  await expect(writer.read(ADD)).rejects.toThrow('the store is closed')
  expect(() => writer.assertUsable()).toThrow('the store is closed')
  expect(await earlier).toBe('add')
  await closing
  await writer.close()
})

test('rejects a call that is not answered in time', async () => {
  const busy = Object.assign(new Error('database is locked'), { errcode: 5 })
  const database = new DatabaseSync(':memory:')
  vi.spyOn(database, 'prepare').mockReturnValue({
    run() {
      throw busy
    },
  } as never)
  const writer = createLocalWriter(database, () => undefined, { onFatal: vi.fn(), timeoutMs: 50, create: true })
  await expect(writer.write(ADD)).rejects.toThrow('the store did not answer within 50 ms')
  await writer.close()
})

test('closes its connection, also one that is closed already', async () => {
  for (const isClosedBefore of [false, true]) {
    const database = new DatabaseSync(':memory:')
    const options = { onFatal: vi.fn(), timeoutMs: 50, create: true }
    const writer = createLocalWriter(database, () => undefined, options)
    if (isClosedBefore) database.close()
    await writer.close()
    expect(database.isOpen).toBe(false)
  }
})
