import { expect } from 'vitest'
import { type Answer, openConnection } from './http.ts'
import { change } from './mutations.ts'
import { type Draft, right } from './requests.ts'

/** An address that no fuzzed request uses, sent as a trusted proxy would. */
const CLEAN = ['X-Forwarded-For', '198.51.100.77'] as const

const text = ({ body }: Answer): string => body.toString()
const json = (answer: Answer): Record<string, unknown> => JSON.parse(text(answer)) as Record<string, unknown>

/**
 * Sends correct requests to each contract, and expects correct answers.
 *
 * @returns the number of requests sent.
 */
export async function expectHealthy(port: number): Promise<number> {
  const connection = openConnection(port)
  let sent = 0
  const ask = async (draft: Draft): Promise<Answer> => {
    sent++
    const request = change({ draft: { ...draft, headers: [...draft.headers, CLEAN] }, mutations: [] }, (given) => given)
    const [answer] = await connection.ask([request])
    if (!answer) throw new Error('no answer')
    return answer
  }
  const introspect = async (token: string) => json(await ask(right.aboutToken('/introspect', token)))

  const bws = text(await ask(right.issueBws()))
  expect(await introspect(bws)).toMatchObject({ active: true, trimint: { contract: 'bws', triesLeft: 3 } })
  expect((await ask(right.checkBws('verify', bws))).headers.get('x-trimint-tries-left')).toEqual(['2'])
  expect((await ask(right.aboutToken('/revoke', bws))).status).toBe(200)
  expect((await ask(right.checkBws('verify', bws))).status).toBe(401)
  expect(await introspect(bws)).toEqual({ active: false })

  const idscan = String(json(await ask(right.issueIdscan('scanning'))).access_token)
  expect((await ask(right.checkIdscan('scanning', idscan))).status).toBe(200)
  expect((await ask(right.checkIdscan('investigation', idscan))).status).toBe(403)
  expect(await introspect(idscan)).toMatchObject({ active: true, trimint: { contract: 'idscan' } })

  const created = json(await ask(right.createFido('registration')))
  expect(created).toMatchObject({ statusCode: 1200 })
  const [token, sessionId] = [String(created.token), String(created.sessionId)]
  expect(json(await ask(right.fidoStatus(sessionId)))).toMatchObject({ status: 'tokenCreated', userId: 'jeff' })
  expect(json(await ask(right.redeemFido('registration', token)))).toMatchObject({ statusCode: 1200, op: 'Reg' })
  expect(json(await ask(right.redeemFido('registration', token)))).toEqual({ statusCode: 1491 })
  expect(json(await ask(right.fidoStatus(sessionId)))).toMatchObject({ status: 'clientRegistering' })

  expect(text(await ask(right.get('/healthz')))).toBe('{"status":"ok"}')
  expect(text(await ask(right.get('/readyz')))).toBe('{"status":"ready"}')
  await connection.close()
  return sent
}

/** Expects that no error was logged and no connection is left open. */
export async function expectQuiet(target: { faults(): string[]; sockets(): Promise<number> }): Promise<void> {
  expect(target.faults()).toEqual([])
  await expect.poll(() => target.sockets()).toBe(0)
}
