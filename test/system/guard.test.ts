import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { getToken, QUERY } from '../support/bws.ts'
import { ACCOUNT, LOGIN, login } from '../support/idscan.ts'
import { deploy, type InstanceProcess } from '../support/instances.ts'
import { hasProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'

// The limits of the guard hold for all workers together, however many connections a guesser opens at once.

const GUESSES = 240

/** One worker alone can queue so many password checks: a wave may reach only one. */
const WAVE = 60

const kinds = [
  { store: 'SQLite', startServer: async () => undefined },
  ...(hasProgram('redis-server') ? [{ store: 'Redis', startServer: startRedis }] : []),
]

/** Sends `WAVE` guesses at once, then the next. */
async function inWaves<Item>(items: readonly Item[], guess: (item: Item) => Promise<{ status: number }>) {
  const replies: { status: number }[] = []
  for (let at = 0; at < items.length; at += WAVE) {
    replies.push(...(await Promise.all(items.slice(at, at + WAVE).map(guess))))
  }
  return replies
}

function countByStatus(replies: readonly { status: number }[]): Record<number, number> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(replies, ({ status }) => status)).map(([status, list = []]) => [status, list.length]),
  )
}

describe.skipIf(!existsSync('/proc')).each(kinds)('two workers on $store', ({ startServer }) => {
  test('B22, I24: answer as many wrong secrets and passwords as one process would', { timeout: 90_000 }, async () => {
    const server = await startServer()
    const accounts = Array.from({ length: GUESSES }, (_, at) => ({ ...ACCOUNT, username: `person-${at}` }))
    {
      await using deployment = await deploy(server?.url, { idscan: { accounts } }, { WORKERS: '2' })
      const instance: InstanceProcess = await deployment.startProcess()
      const as = { id: 'app-1', secret: 'a wrong secret 5a1c' }
      const tokens = await Promise.all(accounts.map(() => getToken(instance, QUERY, { as })))
      expect(countByStatus(tokens)).toEqual({ 401: 100, 429: 140 })
      const logins = await inWaves(accounts, ({ username }) =>
        login(instance, { ...LOGIN, username, password: 'Spring 2026' }),
      )
      expect(countByStatus(logins)).toEqual({ 400: 100, 429: 140 })
      const blocks = () => instance.log().match(/"event":"guard.blocked","key":"[^"]*"/g)
      await expect
        .poll(blocks)
        .toEqual([
          '"event":"guard.blocked","key":"address 127.0.0.1"',
          '"event":"guard.blocked","key":"passwords from 127.0.0.1"',
        ])
    }
    await server?.stop()
  })
})
