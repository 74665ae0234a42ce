import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemRandomness } from '../../../src/app/system-randomness.ts'
import { runTrimint } from '../../support/command.ts'
import { bodyFor, createToken, OPEN, type Operation } from '../../support/nevisfido.ts'
import { findFreePort } from '../../support/ports.ts'
import { startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'
import { statusOf } from '../../support/uaf.ts'

const service = await startService({ clock: createFrozenClock(), configuration: { nevisfido: OPEN } })
const folder = mkdtempSync(join(tmpdir(), 'trimint-authenticator-'))
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

let count = 0
const newFile = () => join(folder, `keys-${count++}`, 'keys.json')

/** Creates a token and runs `trimint authenticator` with it. */
async function run(
  action: 'register' | 'authenticate' | 'deregister',
  operation: Operation,
  keys: string,
  ...more: string[]
) {
  const { token, sessionId } = await createToken(service, operation, { body: bodyFor(operation, { username: 'jeff' }) })
  const words = ['authenticator', action, '--token', token, '--url', service.url, '--keys', keys, ...more]
  return { ...(await runTrimint(words, { randomness: systemRandomness })), sessionId }
}

describe('trimint authenticator', () => {
  test('registers, authenticates and deregisters with the keys in a file', async () => {
    const keys = newFile()
    const registered = await run('register', 'registration', keys)
    expect(registered).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^registered {2}FFFF#0001 [\w-]{43}\n$/),
      err: '',
    })
    expect(statSync(keys).mode & 0o777).toBe(0o600)
    for (let times = 0; times < 2; times++) {
      const authenticated = await run('authenticate', 'authentication', keys)
      expect(authenticated).toMatchObject({ code: 0, out: registered.out.replace('registered', 'authenticated') })
      expect(await statusOf(service, authenticated.sessionId)).toMatchObject({
        status: 'succeeded',
        uafStatusCode: 1200,
      })
    }
    const deregistered = await run('deregister', 'deregistration', keys)
    expect(deregistered).toMatchObject({ code: 0, out: registered.out.replace('registered', 'deregistered') })
    expect(readFileSync(keys, 'utf8')).toBe('[]\n')
  })

  test('prints the status code of a refused answer, and counts it', async () => {
    const keys = newFile()
    await run('register', 'registration', keys)
    const failed = await run('authenticate', 'authentication', keys, '--misbehave', 'wrongKey')
    expect(failed).toMatchObject({ code: 1, out: '', err: 'answer refused: statusCode 1498\n' })
    expect(JSON.parse(readFileSync(keys, 'utf8'))).toMatchObject([{ signCounter: 2 }])
    expect(await run('authenticate', 'authentication', keys)).toMatchObject({ code: 0 })
  })

  test('prints the status code of a refused token', async () => {
    expect(await run('register', 'authentication', newFile())).toMatchObject({
      code: 1,
      err: 'token refused: statusCode 1498\n',
    })
  })

  test('fails without a key', async () => {
    expect(await run('authenticate', 'authentication', newFile())).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^no key for https:.* that the policy accepts; register one first\n$/),
    })
  })

  test('fails for misbehaviour that does not apply', async () => {
    const keys = newFile()
    expect(await run('register', 'registration', keys, '--misbehave', 'clonedCounter')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^clonedCounter does not apply/),
    })
    await run('register', 'registration', keys)
    expect(await run('authenticate', 'authentication', keys, '--misbehave', 'alteredTransaction')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^alteredTransaction does not apply/),
    })
  })

  test('does not replace a file that has no keys in it', async () => {
    const keys = join(folder, 'notes.txt')
    writeFileSync(keys, 'notes')
    expect(await run('register', 'registration', keys)).toMatchObject({
      code: 1,
      err: expect.stringContaining('not a file of keys'),
    })
    expect(readFileSync(keys, 'utf8')).toBe('notes')
  })

  test('fails for a server that is not there, or has no nevisFIDO', async () => {
    const words = ['authenticator', 'register', '--token', 'x', '--keys', newFile(), '--url']
    const unused = `http://127.0.0.1:${await findFreePort()}`
    expect(await runTrimint([...words, unused])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^cannot reach .*ECONNREFUSED/),
    })
    await using other = await startService()
    expect(await runTrimint([...words, other.url])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/HTTP 404; expected 200/),
    })
  })

  test('uses the server with this environment, and wants a token', async () => {
    const variables = { PORT: String(service.port) }
    const { code, err } = await runTrimint(`authenticator register --token x --keys ${newFile()}`, { variables })
    expect({ code, err }).toEqual({ code: 1, err: 'token refused: statusCode 1404\n' })
    expect(await runTrimint('authenticator register')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--token'),
    })
  })
})
