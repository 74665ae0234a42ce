import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { FULL } from '../support/full.ts'
import { hasProgram } from '../support/programs.ts'

const TOKENS = FULL ? 50_000 : 1_000
const TIMEOUT = FULL ? 1_200_000 : 120_000

const STORES = [{ store: 'sqlite', needsRedis: false }, ...(FULL ? [{ store: 'redis', needsRedis: true }] : [])]

describe.each(STORES)('a soak on $store', ({ store, needsRedis }) => {
  test.skipIf(needsRedis && !hasProgram('redis-server'))(
    `of ${TOKENS} tokens of each kind leaves memory, descriptors and store as they were`,
    { timeout: TIMEOUT },
    async () => {
      const words = [resolve('bench/soak.ts'), '--store', store, '--tokens', String(TOKENS)]
      const { stdout } = await promisify(execFile)(process.execPath, words).catch((error: { stdout: string }) => error)
      expect(stdout).toMatch(/\nanswered wrong: \[\]; .*\nflat\n$/)
    },
  )
})
