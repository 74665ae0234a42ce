import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { A, answer, B, C, messageOf, moved, primaryAt, STANDBY, startPrimary } from '../../support/postgres-stand-in.ts'

// When a server is left. test/system has the same with real servers.

describe('leaving a server', () => {
  test('that takes no writes any more: calls reject, and the next one is searched', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, isOpen, reports } = startPrimary(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    const [first, second] = [messageOf(ask()), messageOf(ask())]
    await endOfTurn()
    states.a = new Error('away')
    states.b = primaryAt(2)
    callsOf(A)[0]?.reject('25006')
    expect(await first).toBe('error 25006')
    expect(await second).toBe('Connection terminated')
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    expect(reports()).toEqual(['error 25006'])
  })

  test('that has another timeline after it has failed, since another one answers at its address', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, reports } = startPrimary(stack, { a: primaryAt(1) })
    await primary.opened
    const asked = messageOf(ask())
    await endOfTurn()
    states.a = primaryAt(2)
    callsOf(A)[0]?.reject('57P01')
    expect(await asked).toBe('error 57P01')
    await moved(primary, 2)
    expect(reports()).toEqual(['error 57P01', 'PostgreSQL has been replaced by another server'])
  })

  test('that answers nothing: the call rejects after 800 ms, and another one is used', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, isOpen, reports, ...servers } = startPrimary(stack, {
      a: primaryAt(1),
      b: STANDBY,
    })
    await primary.opened
    states.a = new Error('away')
    states.b = primaryAt(2)
    const begin = performance.now()
    const asked = messageOf(ask())
    expect(await asked).toBe('PostgreSQL has not answered within 800 ms')
    expect(performance.now() - begin).toBeGreaterThan(750) // milliseconds
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    expect(reports()).toEqual(['PostgreSQL has been replaced by another server'])
    const next = ask()
    await answer({ ...servers, callsOf }, B)
    expect(await next).toHaveLength(1)
  })

  test('once a second, if another one was promoted, as often as that happens', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states, isOpen } = startPrimary(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    states.b = primaryAt(2)
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    states.a = primaryAt(3)
    await moved(primary, 3)
    expect(isOpen(B).some(Boolean)).toBe(false)
  })

  test('is looked into once a second over a connection that is closed again', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, isOpen } = startPrimary(stack, { a: primaryAt(1), b: STANDBY })
    await primary.opened
    await expect.poll(() => isOpen(A).length).toBe(2)
    await endOfTurn()
    expect(isOpen(A)).toEqual([true, false])
    expect(primary.generation()).toBe(1)
  })

  test('does not happen while it is the only one and answers', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, of } = startPrimary(stack, { a: primaryAt(1) })
    await primary.opened
    await sleep(1_200)
    expect(of(A)).toHaveLength(1)
    expect(primary.generation()).toBe(1)
  })

  test('does not happen where a connection was lost and it still is the primary', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, callsOf, of, reports, ...servers } = startPrimary(stack, { a: primaryAt(1) })
    await primary.opened
    of(A)[0]?.drop(new Error('terminated'))
    await expect.poll(reports).toEqual(['terminated'])
    const asked = ask()
    await endOfTurn()
    await endOfTurn()
    await answer({ ...servers, callsOf }, A)
    expect(await asked).toHaveLength(1)
    expect(primary.generation()).toBe(1)
  })

  test('does not happen where it rejects new connections and serves those that it has', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, callsOf, ...servers } = startPrimary(stack, { a: primaryAt(1) })
    await primary.opened
    const [first, second] = [ask(), messageOf(ask())]
    await endOfTurn()
    await endOfTurn()
    callsOf(A)[0]?.resolve()
    await first
    states.a = { ...primaryAt(1), isFull: true }
    callsOf(A)[1]?.reject('57P01')
    expect(await second).toBe('error 57P01')
    await sleep(50)
    const asked = ask()
    await answer({ ...servers, callsOf }, A)
    expect(await asked).toHaveLength(1)
    expect(primary.generation()).toBe(1)
  })

  test('happens where it is gone, and no connection to it is left', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, ask, states, of, reports } = startPrimary(stack, { a: primaryAt(1) })
    await primary.opened
    states.a = new Error('away')
    of(A)[0]?.drop(new Error('terminated'))
    await expect.poll(reports).toEqual(['terminated', 'no PostgreSQL server takes writes (a:5432: away)'])
    expect(await messageOf(ask())).toBe('no PostgreSQL server takes writes (a:5432: away)')
    states.a = primaryAt(1)
    await moved(primary, 2)
  })

  test('happens where another one with the same timeline was found first', async () => {
    await using stack = new AsyncDisposableStack()
    const { primary, states, isOpen } = startPrimary(stack, { a: primaryAt(1), b: STANDBY, c: STANDBY })
    await primary.opened
    states.a = STANDBY
    states.c = primaryAt(1)
    await moved(primary, 2)
    expect(isOpen(A).some(Boolean)).toBe(false)
    expect(isOpen(C).some(Boolean)).toBe(true)
  })
})
