import { expect, test } from 'vitest'
import { ensureReserve, withReserve } from '../../../src/store/redis/reserve.ts'

const OUT_OF_MEMORY = new Error("OOM command not allowed when used memory > 'maxmemory'.")

function createClient(hasReserve = false) {
  const sent: string[] = []
  const client = {
    exists: async (key: string) => (key === 'trimint:reserve' && hasReserve ? 1 : 0),
    async setRange(key: string, offset: number, value: string) {
      sent.push(`SETRANGE ${key} ${offset} ${value}`)
      return offset + 1
    },
    async del(key: string) {
      sent.push(`DEL ${key}`)
      return 1
    },
  }
  return { client, sent }
}

test('creates four mebibytes where there is no reserve, and nothing where there is one', async () => {
  const [without, having] = [createClient(), createClient(true)]
  await ensureReserve(without.client)
  await ensureReserve(having.client)
  expect(without.sent).toEqual(['SETRANGE trimint:reserve 4194303 -'])
  expect(having.sent).toEqual([])
})

test('leaves the reserve alone where Redis takes the command', async () => {
  const { client, sent } = createClient()
  expect(await withReserve(client, async () => 'reply')).toBe('reply')
  expect(sent).toEqual([])
})

test('deletes the reserve and repeats the command where Redis has no memory for it', async () => {
  const { client, sent } = createClient()
  let attempts = 0
  const reply = await withReserve(client, async () => {
    attempts += 1
    if (attempts === 1) throw OUT_OF_MEMORY
    return sent.join()
  })
  expect(reply).toBe('DEL trimint:reserve')
})

test('rejects where there is no memory without the reserve either', async () => {
  let attempts = 0
  const trying = withReserve(createClient().client, async () => {
    attempts += 1
    throw OUT_OF_MEMORY
  })
  await expect(trying).rejects.toBe(OUT_OF_MEMORY)
  expect(attempts).toBe(2)
})

test.each([new Error('ERR not OOM'), 'OOM'])('keeps the reserve after other failures: %s', async (failure) => {
  const { client, sent } = createClient()
  await expect(withReserve(client, () => Promise.reject(failure))).rejects.toBe(failure)
  expect(sent).toEqual([])
})
