import { describe, expect, test } from 'vitest'
import { hasPostgres } from '../support/postgres.ts'
import { hasProgram } from '../support/programs.ts'
import { soak } from './soak/run.ts'

/** Tokens of each kind; a million takes half an hour. */
const TOKENS = Number(process.env.TRIMINT_SOAK_TOKENS ?? 50_000)

const MAX_MINUTES = 40
const TIMEOUT_MS = (MAX_MINUTES + 5) * 60_000

const STORES = [
  { store: 'sqlite', isMissing: false },
  { store: 'redis', isMissing: !hasProgram('redis-server') },
  { store: 'postgres', isMissing: !hasPostgres() },
] as const

describe.each(STORES)('a soak on $store', ({ store, isMissing }) => {
  test.skipIf(isMissing)(
    `keeps memory, descriptors and the store flat over ${TOKENS} tokens of each kind`,
    { timeout: TIMEOUT_MS },
    async () => {
      const { faults, report } = await soak({ store, tokens: TOKENS, maxMinutes: MAX_MINUTES })
      process.stdout.write(`\n${report}\n`)
      expect(faults, report).toEqual([])
    },
  )
})
