import { describe, expect, test, vi } from 'vitest'
import type { PostgresHost } from '../../../src/store/postgres/connection.ts'
import { createPrimarySearch, PROBE, timelineOf } from '../../../src/store/postgres/find-primary.ts'
import { RefusedError } from '../../../src/store/postgres/refusal.ts'
import { A, B, createServers, createSqlError, primaryAt, STANDBY, type State } from '../../support/postgres-stand-in.ts'

// Which of several servers is the primary.

describe('the search for the primary', () => {
  test.each([
    ['the only one', { a: primaryAt(1) }, [A], 'a'],
    ['the one that is no standby', { a: STANDBY, b: primaryAt(1) }, [A, B], 'b'],
    ['the one that was promoted last, at the end', { a: primaryAt(1), b: primaryAt(2) }, [A, B], 'b'],
    ['the one that was promoted last, at the beginning', { a: primaryAt(2), b: primaryAt(1) }, [A, B], 'a'],
    ['the one that answers', { a: new Error('away'), b: primaryAt(1) }, [A, B], 'b'],
  ] satisfies [string, Record<string, State>, PostgresHost[], string][])(
    'finds %s, and closes the connections to others',
    async (_, states, hosts, expected) => {
      const servers = createServers(states)
      const found = await createPrimarySearch(hosts, servers.connect)()
      expect(found.host.host).toBe(expected)
      expect(found.connection).toBe(servers.of(found.host)[0])
      for (const host of hosts) {
        expect(servers.isOpen(host), host.host).toEqual(servers.of(host).length === 0 ? [] : [host.host === expected])
      }
    },
  )

  test('returns the timeline and the sessions that wait for a standby', async () => {
    const { connect } = createServers({ a: { isReadOnly: false, timeline: '3', waitingSessions: '2' } })
    expect(await createPrimarySearch([A], connect)()).toMatchObject({ timeline: 3, waitingSessions: 2 })
  })

  test('never accepts a timeline below one that it has seen, and says so', async () => {
    const servers = createServers({ a: primaryAt(2) })
    const find = createPrimarySearch([A], servers.connect)
    await find()
    servers.states.a = primaryAt(1)
    await expect(find()).rejects.toThrow('no PostgreSQL server takes writes (a:5432: was replaced by another server)')
    expect(servers.isOpen(A)).toEqual([true, false])
    servers.states.a = primaryAt(2)
    expect((await find()).timeline).toBe(2)
  })

  test('names the reason of each server', async () => {
    const servers = createServers({
      a: STANDBY,
      b: new AggregateError([new Error('ECONNREFUSED ::1'), new Error('ECONNREFUSED 127.0.0.1')]),
    })
    const error = await createPrimarySearch([A, B], servers.connect)().catch((reason: unknown) => reason)
    expect(error).toEqual(
      new Error(
        'no PostgreSQL server takes writes (a:5432: is a standby or read-only; ' +
          'b:5432: ECONNREFUSED ::1, ECONNREFUSED 127.0.0.1)',
      ),
    )
    expect(error).not.toBeInstanceOf(RefusedError)
    expect(servers.isOpen(A)).toEqual([false])
  })

  test('names a reason that is not an Error', async () => {
    await expect(createPrimarySearch([A], () => Promise.reject('text'))()).rejects.toThrow('(a:5432: text)')
  })

  test('is refused where a server refuses the user, even if others are only away', async () => {
    const { connect } = createServers({ a: new Error('away'), b: createSqlError('28P01') })
    await expect(createPrimarySearch([A, B], connect)()).rejects.toBeInstanceOf(RefusedError)
  })

  test('closes a connection whose server has not answered within 800 ms', async () => {
    const servers = createServers({ a: undefined })
    const begin = performance.now()
    await expect(createPrimarySearch([A], servers.connect)()).rejects.toThrow('Connection terminated')
    expect(performance.now() - begin).toBeGreaterThan(750) // milliseconds
    expect(servers.isOpen(A)).toEqual([false])
  })

  test('leaves no timer behind after an answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { connect } = createServers({ a: primaryAt(1) })
    await createPrimarySearch([A], connect)()
    const timers = vi.getTimerCount()
    vi.useRealTimers()
    expect(timers).toBe(0)
  })

  test('reads no timeline from a missing answer', () => {
    expect(() => timelineOf(undefined)).toThrow('is a standby or read-only')
    expect(() => timelineOf({ timeline: 1 })).toThrow('is a standby or read-only')
    expect(PROBE.name).toBe('probe')
  })
})
