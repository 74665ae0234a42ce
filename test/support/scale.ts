import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readCompose } from './compose.ts'
import { type DurableRedis, startDurableRedis } from './durable-redis.ts'
import { TRACED } from './full.ts'
import { connectTo } from './instances.ts'
import { trackSecret } from './leak-recorder.ts'
import { readExample, startExample } from './nginx.ts'
import { findLastingPort } from './ports.ts'
import { type StartedProcess, startProcess } from './process.ts'
import { type Answerer, KEY } from './service.ts'

// The topology of docker-compose.yml's profile `scale` from plain processes: its nginx.conf, its trimint.yaml, its flags for the
// store. Only the addresses are others.

/** The callers of examples/scale/trimint.yaml. */
export const DEMO_APP = { id: 'demo-app', secret: 'demo-secret' }
export const DEMO_BACKEND = { id: 'demo-backend', secret: 'demo-secret' }
export const DEMO_API = { id: 'demo-api', secret: 'demo-secret' }
export const DEMO_LOGIN = { username: 'demo', password: 'demo-password' }

/** One of the replicas: a port, and the process that has it. */
export interface ScaledReplica extends Answerer {
  readonly url: string
  /** The last process that was started. */
  current(): StartedProcess
  /** Starts it, on the port that it had before, and waits until it is ready. */
  start(): Promise<void>
  /** @returns the exit code. */
  stop(signal: NodeJS.Signals): Promise<number | null>
  /** All that its processes have logged. */
  log(): string
}

export interface ScaledSite extends AsyncDisposable {
  readonly replicas: readonly [ScaledReplica, ScaledReplica]
  readonly redis: DurableRedis
  /** nginx, in front of both. */
  readonly gateway: Answerer
  nginxLog(): Promise<string>
  /** The environment that a command line needs to work on the same store. */
  readonly environment: Readonly<Record<string, string>>
}

/** @param variables of the replicas' environment, beside what docker-compose.yml says. */
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
  // Tests run beside each other, on whatever there is: how busy a machine may be is not what they are about.
  await writeFile(file, `${configuration}\noverload: false\n`)
  const environment = { TRIMINT_CONFIG: file, TRIMINT_KEY: KEY }

  async function add(): Promise<ScaledReplica> {
    const port = String(await findLastingPort())
    const replica = createReplica(port, {
      LOG_LEVEL: TRACED ? 'trace' : 'info',
      ...variables,
      ...environment,
      PORT: port,
    })
    parts.defer(() => replica.end())
    await replica.start()
    return replica
  }
  const replicas = [await add(), await add()] as const
  const nginx = parts.use(
    await startExample('scale', 'listen 8080;', [
      ['server 172.30.80.11:8080 ', `server ${new URL(replicas[0].url).host} `],
      ['server 172.30.80.12:8080 ', `server ${new URL(replicas[1].url).host} `],
    ]),
  )
  const gateway = connectTo(nginx.url)
  parts.defer(() => gateway.close())

  const started = parts.move()
  return {
    replicas,
    redis,
    gateway,
    nginxLog: () => nginx.log(),
    environment,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

function createReplica(port: string, environment: Record<string, string>): ScaledReplica & { end(): Promise<void> } {
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
