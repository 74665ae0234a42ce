import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readCompose } from './compose.ts'
import { type DurableRedis, startDurableRedis } from './durable-redis.ts'
import { TRACED } from './full.ts'
import { connectTo } from './instances.ts'
import { trackSecret } from './leak-recorder.ts'
import { readExample, startExample } from './nginx.ts'
import { findFreePort } from './ports.ts'
import { type StartedProcess, startProcess } from './process.ts'
import { type Answerer, KEY } from './service.ts'

// The profile `scale` of docker-compose.yml as plain processes. They use the same nginx.conf, trimint.yaml and Redis
// flags with other addresses.

/** The clients in examples/scale/trimint.yaml. */
export const DEMO_APP = { id: 'demo-app', secret: 'demo-secret' }
export const DEMO_BACKEND = { id: 'demo-backend', secret: 'demo-secret' }
export const DEMO_API = { id: 'demo-api', secret: 'demo-secret' }
export const DEMO_LOGIN = { username: 'demo', password: 'demo-password' }

/** An instance that keeps its port through restarts. */
export interface ScaledInstance extends Answerer {
  readonly url: string
  /** Returns the process that was started last. */
  current(): StartedProcess
  /** Starts it on its port, and waits until it is ready. */
  start(): Promise<void>
  /** Sends a signal, and resolves to the exit code. */
  stop(signal: NodeJS.Signals): Promise<number | null>
  /** Returns what all its processes have logged. */
  log(): string
}

export interface ScaledSite extends AsyncDisposable {
  readonly instances: readonly [ScaledInstance, ScaledInstance]
  readonly redis: DurableRedis
  /** nginx in front of both. */
  readonly gateway: Answerer
  nginxLog(): Promise<string>
  /** The environment in which a command works on the same store. */
  readonly environment: Readonly<Record<string, string>>
}

/** @param variables for the environment of both instances. */
export async function startScaledSite(variables: Record<string, string> = {}): Promise<ScaledSite> {
  await using parts = new AsyncDisposableStack()
  trackSecret(KEY)
  trackSecret(DEMO_LOGIN.password)
  const { services } = await readCompose()
  const [, ...flags] = services.valkey?.command ?? []
  const redis = parts.use(await startDurableRedis(undefined, flags))
  const folder = await mkdtemp(join(tmpdir(), 'trimint-scale-'))
  parts.defer(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'trimint.yaml')
  const configuration = await readExample('scale/trimint.yaml', [
    ['\nstore: redis://valkey:6379/0\n', `\nstore: ${redis.url}\n`],
    ['\ntrustProxy: [172.30.80.10]\n', '\ntrustProxy: loopback\n'],
  ])
  // Other tests keep the machine busy.
  await writeFile(file, `${configuration}\noverload: false\n`)
  const environment = { TRIMINT_CONFIG: file, TRIMINT_KEY: KEY }

  async function add(): Promise<ScaledInstance> {
    const port = String(await findFreePort())
    const instance = createScaledInstance(port, {
      LOG_LEVEL: TRACED ? 'trace' : 'info',
      ...variables,
      ...environment,
      PORT: port,
    })
    parts.defer(() => instance.end())
    await instance.start()
    return instance
  }
  const instances = [await add(), await add()] as const
  const nginx = parts.use(
    await startExample('scale', 'listen 8080;', [
      ['server 172.30.80.11:8080 ', `server ${new URL(instances[0].url).host} `],
      ['server 172.30.80.12:8080 ', `server ${new URL(instances[1].url).host} `],
    ]),
  )
  const gateway = connectTo(nginx.url)
  parts.defer(() => gateway.close())

  const started = parts.move()
  return {
    instances,
    redis,
    gateway,
    nginxLog: () => nginx.log(),
    environment,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

function createScaledInstance(
  port: string,
  environment: Record<string, string>,
): ScaledInstance & { end(): Promise<void> } {
  const url = `http://127.0.0.1:${port}`
  const target = connectTo(url)
  const processes: StartedProcess[] = []

  function current(): StartedProcess {
    const last = processes.at(-1)
    if (!last) throw new Error('it has not been started')
    return last
  }

  return {
    url,
    request: target.request,
    current,
    async start() {
      const started = await startProcess(environment)
      processes.push(started)
      await started.sees(/"event":"server.listening"/)
      const { status, body } = await target.request('/readyz')
      if (status !== 200) throw new Error(`it is not ready: ${body}`)
    },
    stop(signal) {
      current().child.kill(signal)
      return current().ended()
    },
    log: () => processes.map((process) => process.out()).join(''),
    async end() {
      await Promise.all(processes.map((process) => process[Symbol.asyncDispose]()))
      await target.close()
    },
  }
}
