import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startDeadline } from '../../../src/store/deadline.ts'

/** Blocks this thread, as a pause of the machine would. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

test('counts a pause of the process as a quarter of the time, and then the rest', async () => {
  let expiries = 0
  startDeadline(80, {
    onExpiry: () => {
      expiries += 1
    },
  })
  pause(200)
  await sleep(20)
  expect(expiries).toBe(0)
  await expect.poll(() => expiries, { interval: 10 }).toBe(1)
  await sleep(100)
  expect(expiries).toBe(1)
})

test('never expires once it is stopped, also after a pause', async () => {
  let expiries = 0
  const stop = startDeadline(4, {
    onExpiry: () => {
      expiries += 1
    },
  })
  stop()
  pause(20)
  await sleep(20)
  expect(expiries).toBe(0)
})
