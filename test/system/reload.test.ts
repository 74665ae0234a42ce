import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { startTrimint } from '../../src/app/start-trimint.ts'
import { systemClock } from '../../src/app/system-clock.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { cert, key, otherCert, otherKey } from '../support/certificate.ts'
import { ACCOUNT, LOGIN, PASSWORD } from '../support/idscan.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { RESOURCE_SERVER, RESOURCE_SERVERS } from '../support/lifecycle.ts'
import { captureLog } from '../support/log.ts'
import { type StartedProcess, startProcess } from '../support/process.ts'
import { APP, APP_SECRET, basic, KEY } from '../support/service.ts'

const BASE: ConfigurationInput = {
  publicUrl: 'https://tokens.example.com',
  store: 'sqlite::memory:',
  keys: [{ id: 'one', secret: KEY }],
  bws: { apps: [APP] },
  idscan: { accounts: [ACCOUNT] },
  resourceServers: RESOURCE_SERVERS,
  overload: false,
}

interface Running extends AsyncDisposable {
  readonly url: string
  /** Writes the file, as text or as a configuration, and reloads it. Resolves to the log line about that. */
  reload(configuration: Partial<ConfigurationInput> | string): Promise<Record<string, unknown>>
}

const textOf = (configuration: Partial<ConfigurationInput> | string): string =>
  typeof configuration === 'string' ? configuration : JSON.stringify({ ...BASE, ...configuration })

const isAboutReload = ({ event }: Record<string, unknown>): boolean =>
  event === 'configuration.reloaded' || event === 'configuration.refused'

/** Starts an instance in this process. */
async function start(configuration: Partial<ConfigurationInput> = {}): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-reload-'))
  const configFile = join(folder, 'trimint.yaml')
  writeFileSync(configFile, textOf(configuration))
  const { logger, lines } = captureLog(systemClock)
  const trimint = await startTrimint({ configFile, logger })
  return {
    url: trimint.url,
    async reload(next) {
      writeFileSync(configFile, textOf(next))
      await trimint.reload()
      return lines.findLast(isAboutReload) ?? {}
    },
    async [Symbol.asyncDispose]() {
      await trimint.close({ timeoutMs: 0 })
      await rm(folder, { recursive: true })
    },
  }
}

/** Starts a process, which reloads on SIGHUP. */
async function startSignalled(): Promise<Running & StartedProcess> {
  const started = await startProcess({ TRIMINT_CONFIG: 'trimint.yaml', DRAIN_DELAY: '0s' }, (folder) =>
    writeFileSync(join(folder, 'trimint.yaml'), textOf({})),
  )
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(https?:[^"]+)"/)
  const lines = () => started.out().match(/^.*"event":"configuration\.(?:reloaded|refused)".*$/gm) ?? []
  return {
    ...started,
    url,
    async reload(next) {
      writeFileSync(join(started.folder, 'trimint.yaml'), textOf(next))
      const before = lines().length
      started.child.kill('SIGHUP')
      await expect.poll(() => lines().length, { timeout: 30_000 }).toBeGreaterThan(before)
      return JSON.parse(lines().at(-1) ?? '')
    },
  }
}

async function getToken({ url }: Running, id: string = APP.id, secret: string = APP_SECRET) {
  const headers = { authorization: basic(id, secret) }
  const reply = await fetch(`${url}/token?id=${id}&bcid=bws.1.1`, { headers })
  const token = await reply.text()
  if (reply.ok) trackSecret(token)
  return { status: reply.status, token }
}

async function login({ url }: Running) {
  trackSecret(PASSWORD)
  const reply = await fetch(`${url}/idscanenterprisesvc/token`, { method: 'POST', body: new URLSearchParams(LOGIN) })
  const { access_token: token = '' } = (await reply.json()) as { access_token?: string }
  if (token) trackSecret(token)
  return { status: reply.status, token }
}

async function isActive({ url }: Running, token: string): Promise<boolean> {
  const reply = await fetch(`${url}/introspect`, {
    method: 'POST',
    headers: { authorization: basic(RESOURCE_SERVER.id, RESOURCE_SERVER.secret) },
    body: new URLSearchParams({ token }),
  })
  return ((await reply.json()) as { active: boolean }).active
}

/** Returns whether a process handles SIGHUP, which is the lowest bit of the mask in /proc. */
function isCaught(pid: number | undefined): boolean {
  const mask = /^SigCgt:\t[0-9a-f]*([0-9a-f])$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return (Number.parseInt(mask, 16) & 1) === 1
}

describe('a reload', () => {
  test('applies the file on SIGHUP: a new app, a changed secret, a disabled contract', async () => {
    await using service = await startSignalled()
    expect((await getToken(service)).status).toBe(200)
    const apps = [
      { ...APP, secret: 'plain:another secret 5a1c' },
      { ...APP, id: 'app-2' },
    ]
    expect(await service.reload({ bws: { apps }, idscan: false })).toMatchObject({
      level: 'info',
      event: 'configuration.reloaded',
      changed: ['bws.apps[app-1].secret', 'bws.apps[app-2]', 'idscan'],
    })
    expect((await getToken(service)).status).toBe(401)
    expect((await getToken(service, 'app-1', 'another secret 5a1c')).status).toBe(200)
    expect((await getToken(service, 'app-2')).status).toBe(200)
    expect((await fetch(`${service.url}/idscanenterprisesvc/token`, { method: 'POST' })).status).toBe(404)
  })

  test('rejects logins and tokens of an account that was disabled', async () => {
    await using service = await start()
    const { token } = await login(service)
    expect(await isActive(service, token)).toBe(true)
    await service.reload({ idscan: { accounts: [{ ...ACCOUNT, disabled: true }] } })
    expect((await login(service)).status).toBe(400)
    expect(await isActive(service, token)).toBe(false)
    await service.reload({})
    expect(await isActive(service, token)).toBe(true)
  })

  test('changes nothing for an invalid file, and logs every issue', async () => {
    await using service = await start()
    const faulty = JSON.stringify({ ...BASE, publicUrl: 'no url', bws: { apps: [] }, guard: { window: 'x' } })
    const refused = await service.reload(faulty)
    expect(refused).toMatchObject({ level: 'error', event: 'configuration.refused' })
    expect(refused.faults).toEqual([
      expect.stringContaining('publicUrl: invalid value'),
      expect.stringContaining('guard.window: invalid value'),
    ])
    expect((await getToken(service)).status).toBe(200)
    expect(await service.reload('broken: [')).toMatchObject({ event: 'configuration.refused' })
    expect((await getToken(service)).status).toBe(200)
    expect(await service.reload({})).toMatchObject({ event: 'configuration.reloaded', changed: [] })
  })

  test.skipIf(process.platform === 'win32')(
    'changes nothing for a pipe that nobody writes to, and does not wait for it',
    async () => {
      await using service = await startSignalled()
      execFileSync('mkfifo', [join(service.folder, 'pipe')])
      const refused = await service.reload({ bws: { apps: [{ ...APP, secret: 'file:pipe' }] } })
      expect(refused.faults).toEqual([expect.stringContaining('a pipe or device, which only a start reads')])
      const file = join(service.folder, 'trimint.yaml')
      rmSync(file)
      execFileSync('mkfifo', [file])
      service.child.kill('SIGHUP')
      await service.sees(/trimint\.yaml: unreadable file \(a pipe/)
      expect((await getToken(service)).status).toBe(200)
    },
  )

  test('settings that need a restart are logged and stay unchanged', async () => {
    await using service = await start()
    const { token } = await getToken(service)
    expect(await service.reload({ store: 'sqlite:other.db', tls: { cert, key } })).toMatchObject({
      changed: ['store', 'tls'],
      restart: ['store', 'tls'],
    })
    expect(await isActive(service, token)).toBe(true)
  })

  test('drops no request', async () => {
    await using service = await start()
    let failed = 0
    let answered = 0
    let going = true
    const callers = Array.from({ length: 8 }, async () => {
      while (going) {
        const { status } = await getToken(service).catch(() => ({ status: 0 }))
        if (status === 200) answered += 1
        else failed += 1
      }
    })
    for (let lifetime = 1; lifetime <= 10 || answered <= 50; lifetime++) {
      // A reload of this small configuration may not leave the event loop once.
      await sleep(5)
      await service.reload({ bws: { lifetime: `${lifetime}m`, apps: [APP] } })
    }
    going = false
    await Promise.all(callers)
    expect(failed).toBe(0)
  })

  test('presents a new certificate on the next connection', async () => {
    await using service = await start({ tls: { cert, key } })
    const port = Number(new URL(service.url).port)
    const subject = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
          resolve(String(socket.getPeerCertificate().subject.CN))
          socket.end()
        }).on('error', reject)
      })
    expect(await subject()).toBe('trimint.test')
    expect(await service.reload({ tls: { cert: otherCert, key: otherKey } })).toMatchObject({
      changed: ['tls.cert', 'tls.key'],
    })
    expect(await subject()).toBe('other.trimint.test')
  })

  test('reloads in order on each of two SIGHUPs', async () => {
    await using service = await startSignalled()
    service.child.kill('SIGHUP')
    await service.sees(/configuration\.reloaded/)
    expect(await service.reload({ bws: { lifetime: '1m', apps: [APP] } })).toMatchObject({ changed: ['bws.lifetime'] })
  })

  test.skipIf(!existsSync('/proc'))(
    'on a SIGHUP received during start-up is deferred until the server listens',
    async () => {
      await using started = await startProcess({ DRAIN_DELAY: '0s' })
      // Until Trimint handles SIGHUP, it ends the process.
      await expect.poll(() => isCaught(started.child.pid), { interval: 1 }).toBe(true)
      expect(started.out()).toBe('')
      started.child.kill('SIGHUP')
      await started.sees(/server\.listening[\s\S]*configuration\.reloaded/)
    },
  )

  test('keeps the blocks of the guard, also while the store is unavailable', async () => {
    const guard = { addressFailures: 3 }
    await using service = await start({ store: 'redis://127.0.0.1:1/0', guard })
    for (let failure = 0; failure < 3; failure++) await getToken(service, APP.id, 'a wrong secret 5a1c')
    expect((await getToken(service)).status).toBe(429)
    expect(await service.reload({ store: 'redis://127.0.0.1:1/0', guard })).toMatchObject({ changed: [] })
    expect((await getToken(service)).status).toBe(429)
  })
})
