import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Dispatcher, Pool } from 'undici'
import { expect } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { ACCOUNT } from './idscan.ts'
import { trackSecret, trackSecretsIn, recordRefusal } from './leak-recorder.ts'
import { bodyFor, codeOf, OPEN, UAF } from './nevisfido.ts'
import { startProcess } from './process.ts'
import { APP, basic, KEY, type Reply, type RequestOptions } from './service.ts'
import { SQLITE_FILES, recordStores } from './traces.ts'

/** One process of a deployment, and connections to it. */
export interface Replica {
  readonly url: string
  readonly pid: number
  /** All that it has logged. */
  log(): string
  /** Rejects where the connection is lost before there is an answer. */
  request(path: string, options?: RequestOptions): Promise<Reply>
  /** SIGHUP: has it read its configuration again. Waits until that is in force. */
  reload(): Promise<void>
  /** SIGTERM: has it finish what it is doing. Waits until it is gone. */
  stop(): Promise<void>
  /** SIGKILL: ends it at once, whatever it is doing. Waits until it is gone. */
  kill(): Promise<void>
}

/** Processes that share a configuration, and with it a store. */
export interface Deployment extends AsyncDisposable {
  /** The configuration file. */
  readonly file: string
  /** Starts one more process. */
  start(): Promise<Replica>
}

/** More than any test has calls under way, so that none waits for another. */
const CONNECTIONS = 80

/** The one resource server of a deployment: who may introspect and revoke. */
export const GATEWAY = { id: 'gateway', secret: 'the secret of the gateway' } as const

/**
 * Processes on one store: the Redis of that URL, or else an SQLite file of their own. All three contracts are served.
 *
 * @param changes what the configuration has that is different.
 * @param variables what the environment has.
 */
export async function deploy(
  redisUrl?: string,
  changes: Partial<ConfigurationInput> = {},
  variables: Record<string, string> = {},
): Promise<Deployment> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-deployment-'))
  const file = join(folder, 'trimint.yaml')
  const configuration: ConfigurationInput = {
    publicUrl: 'https://tokens.example.com',
    store: redisUrl ?? `sqlite:${join(folder, 'trimint.db')}`,
    keys: [{ secret: KEY }],
    bws: { apps: [APP] },
    idscan: { accounts: [ACCOUNT] },
    nevisfido: OPEN,
    resourceServers: [{ id: GATEWAY.id, secret: `plain:${GATEWAY.secret}` }],
    // A test machine may be busy with other tests.
    overload: false,
    ...changes,
  }
  trackSecret(KEY)
  // YAML is a superset of JSON.
  await writeFile(file, JSON.stringify(configuration))
  const endings: (() => Promise<void>)[] = []

  async function start(): Promise<Replica> {
    const started = await startProcess({ TRIMINT_CONFIG: file, DRAIN_DELAY: '0s', ...variables })
    const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
    const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 })
    const replica: Replica = {
      url,
      pid: started.child.pid ?? 0,
      log: started.out,
      async request(path, { method = 'GET', headers = {}, body, as } = {}) {
        const response = await pool.request({
          path,
          method: method as Dispatcher.HttpMethod,
          headers: { ...headers, ...(as ? { authorization: basic(as.id, as.secret) } : {}) },
          ...(body === undefined ? {} : { body }),
        })
        const { statusCode: status, headers: sent } = response
        const text = await response.body.text()
        trackSecretsIn(text)
        recordRefusal(status, `${JSON.stringify(sent)}\n${text}`)
        return { status, headers: sent, body: text }
      },
      async reload() {
        const reloads = () => started.out().split('"event":"configuration.reloaded"').length
        const before = reloads()
        started.child.kill('SIGHUP')
        await expect.poll(reloads, { timeout: 15_000 }).toBeGreaterThan(before)
      },
      async stop() {
        started.child.kill('SIGTERM')
        await started.ended()
      },
      async kill() {
        await started[Symbol.asyncDispose]()
      },
    }
    endings.push(async () => {
      await replica.kill()
      await pool.destroy()
    })
    return replica
  }

  return {
    file,
    start,
    async [Symbol.asyncDispose]() {
      await Promise.all(endings.map((end) => end()))
      await recordStores(folder, SQLITE_FILES)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const OPERATION = 'authentication'

export const createAt = (replica: Replica): Promise<Reply> =>
  replica.request(`/nevisfido/token/create/${OPERATION}`, {
    method: 'POST',
    body: bodyFor(OPERATION),
    headers: { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' },
  })

export interface Issued {
  readonly token: string
  readonly sessionId: string
}

/** Has a token issued; rejects where it is refused. */
export async function issueAt(replica: Replica): Promise<Issued> {
  const reply = await createAt(replica)
  if (codeOf(reply) !== 1200) throw new Error(`create was refused: ${reply.body}`)
  return JSON.parse(reply.body) as Issued
}

/** The statusCode that a redemption is answered with. */
export async function redeemAt(replica: Replica, token: string): Promise<number> {
  const reply = await replica.request(`/nevisfido/token/redeem/${OPERATION}`, {
    method: 'POST',
    body: JSON.stringify({ token }),
    headers: { 'content-type': 'application/json', accept: UAF },
  })
  return codeOf(reply)
}

export const askStatusAt = (replica: Replica, sessionId: string): Promise<Reply> =>
  replica.request('/nevisfido/status', {
    method: 'POST',
    body: JSON.stringify({ sessionId }),
    headers: { 'content-type': 'application/json', accept: 'application/json' },
  })
