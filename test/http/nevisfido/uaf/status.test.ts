import { afterAll, describe, expect, test } from 'vitest'
import { codeOf, OPEN } from '../../../support/nevisfido.ts'
import { startService } from '../../../support/service.ts'
import { createFrozenClock } from '../../../support/time.ts'
import { attempt, createPhone, createRegisteredPhone, respond, startSession, statusOf } from '../../../support/uaf.ts'

const clock = createFrozenClock()
const service = await startService({ clock, configuration: { nevisfido: OPEN } })
afterAll(() => service.close())

const iso = (time: number) => new Date(time).toISOString()
const OPERATIONS = ['registration', 'authentication'] as const

describe.each(OPERATIONS)('%s', (operation) => {
  const context = { username: `user of ${operation}` }

  async function answerLater(misbehave?: 'wrongKey' | 'declines') {
    const phone = await createRegisteredPhone(service, {}, context.username)
    const { sessionId, uafRequest } = await startSession(service, operation, context)
    clock.advance(10_000)
    const answeredAt = clock()
    const { body, keys } = await phone.answer(uafRequest, { misbehave })
    const code = codeOf(await respond(service, operation, body))
    clock.advance(5_000)
    return { sessionId, answeredAt, keys, code }
  }

  test('U35: tells succeeded, the keys and the time of the answer', async () => {
    const { sessionId, answeredAt, keys, code } = await answerLater()
    expect(code).toBe(1200)
    expect(keys).toHaveLength(1)
    const expected = {
      status: 'succeeded',
      timestamp: iso(answeredAt),
      userId: context.username,
      uafStatusCode: 1200,
      authenticators: keys,
      tokenInformation: { tokenResult: 'tokenRedeemed' },
    }
    expect(await statusOf(service, sessionId)).toEqual(expected)
    clock.advance(400_000)
    expect(await statusOf(service, sessionId)).toEqual(expected)
  })

  test('U36: tells failed, the code and the time of the answer, without keys', async () => {
    const { sessionId, answeredAt, code } = await answerLater('wrongKey')
    expect(code).toBe(operation === 'registration' ? 1496 : 1498)
    const expected = {
      status: 'failed',
      timestamp: iso(answeredAt),
      userId: context.username,
      uafStatusCode: code,
      tokenInformation: { tokenResult: 'tokenRedeemed' },
    }
    expect(await statusOf(service, sessionId)).toEqual(expected)
    clock.advance(400_000)
    expect(await statusOf(service, sessionId)).toEqual(expected)
  })

  test('U36: tells the ASM status beside the code', async () => {
    const { sessionId } = await answerLater('declines')
    const told = await statusOf(service, sessionId)
    expect(told).toMatchObject({ status: 'failed', uafStatusCode: 1498, asmStatusCode: 3 })
    expect(told).not.toHaveProperty('authenticators')
  })
})

test('U35: tells unknown an hour after the later of token and response deadline', async () => {
  const { code, sessionId } = await attempt(service, createPhone(service), 'registration', {}, { username: 'late' })
  expect(code).toBe(1200)
  clock.advance(300_000 + 3_600_000 - 1)
  expect((await statusOf(service, sessionId)).status).toBe('succeeded')
  clock.advance(1)
  expect((await statusOf(service, sessionId)).status).toBe('unknown')
})
