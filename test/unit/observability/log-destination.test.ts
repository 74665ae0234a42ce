import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LogDestination, openLog } from '../../../src/observability/log-destination.ts'

let folder: string
let fd: number
let log: LogDestination

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trimint-log-'))
  fd = openSync(join(folder, 'log'), 'a')
  log = openLog(fd)
})

afterEach(() => {
  closeSync(fd)
  rmSync(folder, { recursive: true })
})

const written = () => readFileSync(join(folder, 'log'), 'utf8')
const lines = Array.from({ length: 3_000 }, (_, index) => `{"line":${index},"name":"ü"}\n`)

describe('the log', () => {
  test('is written by itself, each line whole and in order', async () => {
    for (const [index, line] of lines.entries()) {
      log.write(line)
      if (index % 100 === 0) await nextTurn()
    }
    await vi.waitFor(() => expect(written()).toBe(lines.join('')))
  })

  test('is written at once before the end, also what this turn has said', () => {
    for (const line of lines) log.write(line)
    log.flushSync()
    expect(written()).toBe(lines.join(''))
  })
})
