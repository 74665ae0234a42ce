import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Dispatcher, Pool } from 'undici'
import { expect } from 'vitest'
import { startTrimint } from '../../src/app/start-trimint.ts'
import { systemClock } from '../../src/app/system-clock.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { FULL } from './full.ts'
import { ACCOUNT } from './idscan.ts'
import { recordRefusal, trackSecret, trackSecretsIn } from './leak-recorder.ts'
import { captureLog } from './log.ts'
import { bodyFor, codeOf, OPEN, UAF } from './nevisfido.ts'
import { startProcess } from './process.ts'
import { APP, basic, KEY, type Reply, type RequestOptions } from './service.ts'
import { recordRefusalsOf, recordStores, SQLITE_FILES } from './traces.ts'

/** One running Trimint of a deployment, and connections to it. */
export interface Instance {
  readonly url: string
  /** Returns everything it has logged. */
  log(): string
  /** Rejects if the connection is lost before the reply. */
  request(path: string, options?: RequestOptions): Promise<Reply>
  /** Reads the configuration file again. Resolves once it is in force. */
  reload(): Promise<void>
  /** Drains, without delay, and shuts down. */
  stop(): Promise<void>
}

/** An instance with its own process, for tests of processes: signals, limits, deaths, locks between processes. */
export interface InstanceProcess extends Instance {
  readonly pid: number
  /** Sends SIGKILL, and waits for the end. */
  kill(): Promise<void>
}

/** Instances that share a configuration file and a store. */
export interface Deployment extends AsyncDisposable {
  /** The configuration file. */
  readonly file: string
  /** Starts an instance in this process. */
  start(): Promise<Instance>
  startProcess(): Promise<InstanceProcess>
}

/**
 * Starts instances of a deployment, the first as a process. In the full form all are processes; otherwise the others share the
 * process of the test, because each start of a process costs more than a second of processor time.
 */
export async function startInstances(deployment: Deployment, count: number): Promise<[InstanceProcess, ...Instance[]]> {
  const start = () => (FULL ? deployment.startProcess() : deployment.start())
  return Promise.all([deployment.startProcess(), ...Array.from({ length: count - 1 }, start)])
}

/** Connections to one instance; more than any test uses at once, so that no call waits for another. */
const CONNECTIONS = 80

/** The only resource server of a deployment. */
export const GATEWAY = { id: 'gateway', secret: 'the secret of the gateway' } as const

/**
 * Writes the configuration of a deployment with all three contracts.
 *
 * @param redisUrl of the shared store; without it, an SQLite file.
 * @param changes to the configuration.
 * @param variables in the environment of each process.
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
    // Other tests keep the machine busy.
    overload: false,
    ...changes,
  }
  trackSecret(KEY)
  // YAML is a superset of JSON.
  await writeFile(file, JSON.stringify(configuration))
  const cleanups: (() => Promise<void>)[] = []

  return {
    file,
    async start() {
      const log = captureLog(systemClock)
      const trimint = await startTrimint({ configFile: file, logger: log.logger })
      const stopRecording = recordRefusalsOf(Number(new URL(trimint.url).port))
      const client = connectTo(trimint.url)
      cleanups.push(async () => {
        await client.close()
        await trimint.close({ timeoutMs: 0 })
        stopRecording()
      })
      return {
        url: trimint.url,
        log: log.text,
        request: client.request,
        async reload() {
          const result = await trimint.reload()
          if ('issues' in result) throw new Error(`configuration refused: ${JSON.stringify(result.issues)}`)
        },
        stop: () => trimint.close(),
      }
    },
    async startProcess() {
      const started = await startProcess({ TRIMINT_CONFIG: file, DRAIN_DELAY: '0s', ...variables })
      const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
      const client = connectTo(url)
      cleanups.push(async () => {
        await started[Symbol.asyncDispose]()
        await client.close()
      })
      return {
        url,
        pid: started.child.pid ?? 0,
        log: started.out,
        request: client.request,
        async reload() {
          const reloads = () => started.out().split('"event":"configuration.reloaded"').length
          const before = reloads()
          started.child.kill('SIGHUP')
          await expect.poll(reloads).toBeGreaterThan(before)
        },
        async stop() {
          started.child.kill('SIGTERM')
          await started.ended()
        },
        kill: async () => started[Symbol.asyncDispose](),
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(cleanups.map((cleanUp) => cleanUp()))
      await recordStores(folder, SQLITE_FILES)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Opens a pool of connections that never sends a request twice. */
export function connectTo(url: string): Pick<Instance, 'request'> & { close(): Promise<void> } {
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 })
  return {
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
    close: () => pool.destroy(),
  }
}

const OPERATION = 'authentication'

export const createAt = (instance: Instance): Promise<Reply> =>
  instance.request(`/nevisfido/token/create/${OPERATION}`, {
    method: 'POST',
    body: bodyFor(OPERATION),
    headers: { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' },
  })

export interface Issued {
  readonly token: string
  readonly sessionId: string
}

/** Issues a token; rejects if that is refused. */
export async function issueAt(instance: Instance): Promise<Issued> {
  const reply = await createAt(instance)
  if (codeOf(reply) !== 1200) throw new Error(`create was refused: ${reply.body}`)
  return JSON.parse(reply.body) as Issued
}

/** Redeems a token; returns the statusCode of the reply. */
export async function redeemAt(instance: Instance, token: string): Promise<number> {
  const reply = await instance.request(`/nevisfido/token/redeem/${OPERATION}`, {
    method: 'POST',
    body: JSON.stringify({ token }),
    headers: { 'content-type': 'application/json', accept: UAF },
  })
  return codeOf(reply)
}

export const askStatusAt = (instance: Instance, sessionId: string): Promise<Reply> =>
  instance.request('/nevisfido/status', {
    method: 'POST',
    body: JSON.stringify({ sessionId }),
    headers: { 'content-type': 'application/json', accept: 'application/json' },
  })
