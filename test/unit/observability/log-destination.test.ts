import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LogDestination, openLog } from '../../../src/observability/log-destination.ts'

let folder: string
let log: LogDestination

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trimint-log-'))
  log = openLog(openSync(join(folder, 'log'), 'a'))
})

afterEach(() => {
  log.abandon()
  rmSync(folder, { recursive: true })
})

const written = () => readFileSync(join(folder, 'log'), 'utf8')
const lines = Array.from({ length: 3_000 }, (_, index) => `{"line":${index},"name":"ü"}\n`)

describe('openLog', () => {
  test('writes whole lines in order, in the background', async () => {
    for (const [index, line] of lines.entries()) {
      log.write(line)
      if (index % 100 === 0) await nextTurn()
    }
    await vi.waitFor(() => expect(written()).toBe(lines.join('')))
  })

  test('writes everything before it is closed', async () => {
    for (const line of lines) log.write(line)
    await log.close(10_000)
    expect(written()).toBe(lines.join(''))
  })

  test('reports errors, bounds what it buffers, and closes within its time-out when the disk is full', async () => {
    let [errors, dropped] = [0, 0]
    const full = openLog(openSync('/dev/full', 'w'), { onError: () => errors++, onDrop: () => dropped++ })
    const line = `${'x'.repeat(999_999)}\n`
    for (let count = 0; count < 20; count++) full.write(line)
    await vi.waitFor(() => expect(errors).toBeGreaterThan(0))
    expect(dropped).toBeGreaterThan(0)
    await full.close(100)
  })
})
