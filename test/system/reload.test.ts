import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { describe, expect, test } from 'vitest'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { cert, key, otherCert, otherKey } from '../support/certificate.ts'
import { ACCOUNT, LOGIN, PASSWORD } from '../support/idscan.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { RESOURCE_SERVER, RESOURCE_SERVERS } from '../support/lifecycle.ts'
import { type StartedProcess, startProcess } from '../support/process.ts'
import { APP, APP_SECRET, basic, KEY } from '../support/service.ts'

const BASE: ConfigurationInput = {
  publicUrl: 'https://tokens.example.com',
  store: 'sqlite:trimint.db',
  keys: [{ id: 'one', secret: KEY }],
  bws: { apps: [APP] },
  idscan: { accounts: [ACCOUNT] },
  resourceServers: RESOURCE_SERVERS,
  overload: false,
}

interface Running extends StartedProcess {
  readonly url: string
  /** Writes the file, as text or as a configuration, sends SIGHUP, and waits for the word about it. */
  reload(configuration: Partial<ConfigurationInput> | string): Promise<Record<string, unknown>>
}

async function start(configuration: Partial<ConfigurationInput> = {}): Promise<Running> {
  const started = await startProcess({ TRIMINT_CONFIG: 'trimint.yaml', DRAIN_DELAY: '0s' }, (folder) =>
    writeFileSync(join(folder, 'trimint.yaml'), JSON.stringify({ ...BASE, ...configuration })),
  )
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(https?:[^"]+)"/)
  const words = () => started.out().match(/^.*"event":"configuration\.(?:reloaded|refused)".*$/gm) ?? []

  async function reload(next: Partial<ConfigurationInput> | string): Promise<Record<string, unknown>> {
    const text = typeof next === 'string' ? next : JSON.stringify({ ...BASE, ...next })
    writeFileSync(join(started.folder, 'trimint.yaml'), text)
    const before = words().length
    started.child.kill('SIGHUP')
    await expect.poll(() => words().length, { timeout: 10_000 }).toBeGreaterThan(before)
    return JSON.parse(words().at(-1) ?? '')
  }
  return { ...started, url, reload }
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

/** Whether a process has a handler for SIGHUP, as Linux tells: the lowest bit. */
function isCaught(pid: number | undefined): boolean {
  const mask = /^SigCgt:\t[0-9a-f]*([0-9a-f])$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return (Number.parseInt(mask, 16) & 1) === 1
}

describe('SIGHUP', () => {
  test('applies the file: a new app, a changed secret, a disabled contract', async () => {
    await using service = await start()
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

  test('a disabled account gets no token, and its tokens are inactive', async () => {
    await using service = await start()
    const { token } = await login(service)
    expect(await isActive(service, token)).toBe(true)
    await service.reload({ idscan: { accounts: [{ ...ACCOUNT, disabled: true }] } })
    expect((await login(service)).status).toBe(400)
    expect(await isActive(service, token)).toBe(false)
    await service.reload({})
    expect(await isActive(service, token)).toBe(true)
  })

  test('a faulty file changes nothing, and every fault is logged', async () => {
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
    for (let lifetime = 1; lifetime <= 10; lifetime++) {
      await service.reload({ bws: { lifetime: `${lifetime}m`, apps: [APP] } })
    }
    going = false
    await Promise.all(callers)
    expect({ failed, enough: answered > 50 }).toEqual({ failed: 0, enough: true })
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

  test('twice in a row reloads twice, in order', async () => {
    await using service = await start()
    service.child.kill('SIGHUP')
    await service.sees(/configuration\.reloaded/)
    expect(await service.reload({ bws: { lifetime: '1m', apps: [APP] } })).toMatchObject({ changed: ['bws.lifetime'] })
  })

  test.skipIf(!existsSync('/proc'))('received during start-up is deferred until the server listens', async () => {
    await using started = await startProcess({ DRAIN_DELAY: '0s' })
    // Until something of ours runs, it is Node's to end by it.
    await expect.poll(() => isCaught(started.child.pid), { interval: 1, timeout: 10_000 }).toBe(true)
    expect(started.out()).toBe('')
    started.child.kill('SIGHUP')
    await started.sees(/server\.listening[\s\S]*configuration\.reloaded/)
  })

  test('keeps the blocks of the guard, also while the store is unavailable', async () => {
    const guard = { addressFailures: 3 }
    await using service = await start({ store: 'redis://127.0.0.1:1/0', guard })
    for (let failure = 0; failure < 3; failure++) await getToken(service, APP.id, 'a wrong secret 5a1c')
    expect((await getToken(service)).status).toBe(429)
    expect(await service.reload({ store: 'redis://127.0.0.1:1/0', guard })).toMatchObject({ changed: [] })
    expect((await getToken(service)).status).toBe(429)
  })
})
