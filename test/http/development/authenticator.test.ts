import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import { trackSecret } from '../../support/leak-recorder.ts'

const trimint = await startTrimint()
afterAll(() => trimint.close({ timeoutMs: 0 }))
beforeEach(() => trimint.reset())

const post = async (path: string, contentType: string, accept: string, body: object) => {
  const response = await fetch(trimint.url + path, {
    method: 'POST',
    headers: { 'content-type': contentType, accept },
    body: JSON.stringify(body),
  })
  return (await response.json()) as Record<string, string>
}

async function create(operation: string, op: string, context: object): Promise<{ token: string; sessionId: string }> {
  const body = { op, context: JSON.stringify(context) }
  const path = `/nevisfido/token/create/${operation}`
  const { token = '', sessionId = '' } = await post(
    path,
    'application/fido+uaf;charset=UTF-8',
    'application/json',
    body,
  )
  trackSecret(token)
  trackSecret(sessionId)
  return { token, sessionId }
}

const username = 'jeff'
const registration = () => create('registration', 'Reg', { username })
const authentication = (context: object = {}) => create('authentication', 'Auth', { username, ...context })
const statusOf = (sessionId: string) => post('/nevisfido/status', 'application/json', 'application/json', { sessionId })
const transaction = [{ contentType: 'text/plain', content: Buffer.from('Pay 100 to Anna?').toString('base64') }]

describe('in process', () => {
  test('L27: registers, confirms a transaction and deregisters', async () => {
    const { authenticator } = trimint
    const registered = await registration()
    expect(await authenticator.register(registered.token)).toMatchObject({ step: 'respond', statusCode: 1200 })
    expect(await statusOf(registered.sessionId)).toMatchObject({ status: 'succeeded', userId: username })
    const confirmed = await authentication({ transaction })
    expect(await authenticator.authenticate(confirmed.token)).toMatchObject({ statusCode: 1200 })
    expect(await statusOf(confirmed.sessionId)).toMatchObject({ status: 'succeeded' })
    const { token } = await create('deregistration', 'Dereg', { username })
    expect(await authenticator.deregister(token)).toMatchObject({
      statusCode: 1200,
      authenticators: [{ aaid: 'FFFF#0001' }],
    })
    expect(authenticator.keys).toEqual([])
  })

  test.each([
    { misbehave: 'declines', code: 1498, asm: 3 },
    { misbehave: 'wrongFinger', code: 1498, asm: 2 },
    { misbehave: 'wrongKey', code: 1498 },
    { misbehave: 'clonedCounter', code: 1498 },
    { misbehave: 'alteredTransaction', code: 1498 },
    { misbehave: 'late', code: 1408 },
  ] as const)('L27: $misbehave on purpose: the session fails with $code', async ({ misbehave, code, ...expected }) => {
    await trimint.authenticator.register((await registration()).token)
    const { token, sessionId } = await authentication({ transaction })
    expect(await trimint.authenticator.authenticate(token, { misbehave })).toMatchObject({
      step: 'respond',
      statusCode: code,
    })
    const told = await statusOf(sessionId)
    expect(told).toMatchObject({ status: 'failed', uafStatusCode: code })
    expect(told.asmStatusCode).toBe('asm' in expected ? expected.asm : undefined)
  })
})

describe('POST /_trimint/authenticator', () => {
  const act = async (body: unknown) => {
    const response = await fetch(`${trimint.url}/_trimint/authenticator`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: await response.json() }
  }

  test('L27: redeems and answers, and shows keys without their private part', async () => {
    const { token, sessionId } = await registration()
    const registered = await act({ action: 'register', token })
    expect(registered).toMatchObject({ status: 200, body: { step: 'respond', statusCode: 1200 } })
    expect(await statusOf(sessionId)).toMatchObject({ status: 'succeeded' })
    const keys = await (await fetch(`${trimint.url}/_trimint/authenticator`)).json()
    expect(keys).toEqual({ keys: [expect.objectContaining({ username, aaid: 'FFFF#0001', signCounter: 1 })] })
    expect(JSON.stringify(keys)).not.toMatch(/private/i)
    expect(await act({ action: 'authenticate', token: (await authentication()).token })).toMatchObject({
      status: 200,
      body: { statusCode: 1200 },
    })
    expect(
      await act({ action: 'authenticate', token: (await authentication()).token, misbehave: 'wrongKey' }),
    ).toMatchObject({ status: 200, body: { statusCode: 1498 } })
  })

  test('L27: replies 409 where the authenticator cannot, and 400 to another body', async () => {
    expect(await act({ action: 'authenticate', token: (await authentication()).token })).toMatchObject({
      status: 409,
      body: { error: 'conflict', error_description: expect.stringContaining('register one first') },
    })
    expect(await act({ action: 'lend', token: 'x' })).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    expect(await act({ action: 'register', token: '' })).toMatchObject({ status: 400 })
  })

  test('L27, L22: a reset deletes the keys of users too', async () => {
    await trimint.authenticator.register((await registration()).token)
    const { token } = await authentication()
    await trimint.reset({ only: ['credentials'] })
    expect(await trimint.authenticator.authenticate(token)).toMatchObject({ step: 'respond', statusCode: 1481 })
  })

  test('L27: forgets its keys on DELETE and on a reset', async () => {
    for (const forget of [
      () => fetch(`${trimint.url}/_trimint/authenticator`, { method: 'DELETE' }),
      () => trimint.reset({ only: ['authenticator'] }),
    ]) {
      await trimint.authenticator.register((await registration()).token)
      expect(trimint.authenticator.keys).toHaveLength(1)
      await forget()
      expect(trimint.authenticator.keys).toEqual([])
    }
  })
})
