import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { hash } from '@node-rs/argon2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { CALLER, getToken, QUERY } from '../support/bws.ts'
import { LOGIN, PATH as LOGIN_PATH } from '../support/idscan.ts'
import { connectTo } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { RESOURCE_SERVER, RESOURCE_SERVERS } from '../support/lifecycle.ts'
import { type StartedProcess, startProcess } from '../support/process.ts'
import { type Answerer, APP, basic, KEY } from '../support/service.ts'

// A shutdown answers every request in progress, and no client can delay it for ever.

/** A process, and connections to it. */
interface Drained extends Answerer, AsyncDisposable {
  readonly process: StartedProcess
  readonly port: number
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trimint-drain-'))
  const password = await hash('a password that no client sends', { memoryCost: 65_536, timeCost: 1 })
  const configuration: ConfigurationInput = {
    publicUrl: 'https://tokens.example.com',
    store: 'sqlite::memory:',
    keys: [{ secret: KEY }],
    bws: { apps: [APP] },
    idscan: { accounts: [{ username: 'slow', password, areas: ['scanning'] }] },
    resourceServers: RESOURCE_SERVERS,
    guard: false,
    overload: false,
  }
  trackSecret(KEY)
  // YAML is a superset of JSON.
  await writeFile(join(folder, 'trimint.yaml'), JSON.stringify(configuration))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function startDrained(variables: Record<string, string>): Promise<Drained> {
  const started = await startProcess({ TRIMINT_CONFIG: join(folder, 'trimint.yaml'), ...variables })
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  const target = connectTo(url)
  return {
    process: started,
    port: Number(new URL(url).port),
    request: target.request,
    async [Symbol.asyncDispose]() {
      await started[Symbol.asyncDispose]()
      await target.close()
    },
  }
}

/** Sends the beginning of a request on a new connection. */
async function begin(port: number, sent: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(sent)
  // The process may not have read it yet; an answer to a later request is the best sign.
  await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()
  return socket
}

const isRefused = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', () => resolve(true))
  })

/** Sends a form without its last character. The returned function sends that and resolves to the reply. */
async function beginForm(
  port: number,
  path: string,
  form: Record<string, string>,
  ...headers: string[]
): Promise<() => Promise<string>> {
  const body = new URLSearchParams(form).toString()
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: x',
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${body.length}`,
  ]
  const socket = await begin(port, `${[...lines, ...headers].join('\r\n')}\r\n\r\n${body.slice(0, -1)}`)
  return () => {
    socket.write(body.slice(-1))
    return text(socket)
  }
}

/** Logins whose passwords are checked after the port has closed. */
const LOGINS = 4

describe('a shutdown', () => {
  test('turns not ready on SIGTERM, keeps answering, closes the port, finishes requests, writes the log and exits with 0', async () => {
    await using replica = await startDrained({ DRAIN_DELAY: '2s' })
    const { port, process } = replica
    expect(await replica.request('/readyz')).toMatchObject({ status: 200, body: '{"status":"ready"}' })
    const { body: token } = await getToken(replica, QUERY)
    trackSecret(token)
    const credentials = `Authorization: ${basic(RESOURCE_SERVER.id, RESOURCE_SERVER.secret)}`
    const last = await beginForm(port, '/introspect', { token }, credentials, 'X-Request-Id: the-last-one')
    const wrong = { ...LOGIN, username: 'slow', password: 'a wrong password' }
    const logins = await Promise.all(Array.from({ length: LOGINS }, () => beginForm(port, LOGIN_PATH, wrong)))

    process.child.kill('SIGTERM')
    await process.sees(/"event":"server.draining","signal":"SIGTERM","delay":2000/)
    expect(await replica.request('/readyz')).toMatchObject({
      status: 503,
      body: '{"status":"not_ready","reasons":["draining"],"serving":["bws","idscan"]}',
      headers: { connection: 'close' },
    })
    expect(await replica.request('/healthz')).toMatchObject({ status: 200 })
    const issued = await getToken(replica, QUERY)
    expect(issued).toMatchObject({ status: 200, headers: { connection: 'close' } })
    trackSecret(issued.body)

    await process.sees(/"event":"server.closing"/)
    await expect.poll(() => isRefused(port)).toBe(true)
    for (const answer of await Promise.all(logins.map((finish) => finish()))) {
      expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\n.*connection: close\r\n.*"invalid_grant"/is)
    }
    expect(await last()).toMatch(/^HTTP\/1.1 200 OK\r\n.*connection: close\r\n.*{"active":true/is)

    expect(await process.ended()).toBe(0)
    const log = process.out()
    expect(log.split('"reason":"bad_password"')).toHaveLength(LOGINS + 1)
    expect(JSON.parse(log.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      event: 'token.introspected',
      requestId: 'the-last-one',
    })
  })

  test('skips DRAIN_DELAY on SIGINT', async () => {
    await using replica = await startDrained({ DRAIN_DELAY: '10m', DRAIN_TIMEOUT: '10m' })
    expect(await replica.request('/healthz')).toMatchObject({ status: 200 })
    replica.process.child.kill('SIGINT')
    expect(await replica.process.ended()).toBe(0)
    expect(replica.process.out()).toMatch(/"event":"server.draining","signal":"SIGINT","delay":0/)
  })

  test('closes unfinished requests after DRAIN_TIMEOUT, not before, and exits with 0', async () => {
    await using replica = await startDrained({ DRAIN_DELAY: '0s', DRAIN_TIMEOUT: '3s' })
    const credentials = `Authorization: ${basic(CALLER.id, CALLER.secret)}`
    const never = await begin(replica.port, 'POST /introspect HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab')
    const late = await begin(replica.port, `GET /token?${QUERY} HTTP/1.1\r\nHost: x\r\n`)
    const reset = new Promise((resolve) => never.once('error', resolve).once('close', resolve))
    replica.process.child.kill('SIGTERM')
    await replica.process.sees(/"event":"server.closing"/)
    late.write(`${credentials}\r\n\r\n`)
    const answer = await text(late)
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/)
    trackSecret(answer.split('\r\n\r\n')[1] ?? '')
    expect(await replica.process.ended()).toBe(0)
    await reset
    expect(replica.process.out()).toMatch(/"event":"server.cut_off","timeout":3000/)
  })
})
