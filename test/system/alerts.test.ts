import { execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startTrimint } from '../../src/app/start-trimint.ts'
import { systemClock } from '../../src/app/system-clock.ts'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import type { Trimint, TrimintOptions } from '../../src/app/trimint.ts'
import { hashPassword } from '../../src/core/crypto/passwords.ts'
import { openStores } from '../../src/store/open-stores.ts'
import { cert, key } from '../support/certificate.ts'
import { ACCOUNT, LOGIN } from '../support/idscan.ts'
import { findFreePort } from '../support/ports.ts'
import { hasProgram } from '../support/programs.ts'
import { APP, APP_SECRET, basic, KEY } from '../support/service.ts'
import { createFrozenClock } from '../support/time.ts'

const FOLDER = 'examples/prometheus'
const run = promisify(execFile)

const hasPrometheus = hasProgram('prometheus') && hasProgram('promtool')

interface Alerting {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[]
}

/** Starts Debian's Prometheus with the example's rules and shorter times: a second for each minute or hour. */
async function startPrometheus(targets: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-prometheus-'))
  const rules = await readFile(`${FOLDER}/alerts.yml`, 'utf8')
  await writeFile(join(folder, 'alerts.yml'), rules.replaceAll(/\b(\d+)[mh]\b/g, '$1s'))
  const configuration = {
    global: { scrape_interval: '250ms', scrape_timeout: '250ms', evaluation_interval: '250ms' },
    scrape_configs: [{ job_name: 'trimint', static_configs: [{ targets }] }],
    rule_files: ['alerts.yml'],
  }
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(configuration))
  const address = `127.0.0.1:${await findFreePort()}`
  const words = [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
    '--log.level=error',
  ]
  const child = spawn('prometheus', words, { stdio: 'ignore' })
  const exit = once(child, 'close')

  async function query<Data>(path: string): Promise<Data | undefined> {
    const reply = await fetch(`http://${address}/api/v1/${path}`).catch(() => undefined)
    return reply?.ok ? ((await reply.json()) as { data: Data }).data : undefined
  }

  return {
    /** Returns the names of alerts that fire. */
    async firing(): Promise<string[]> {
      const data = await query<{ alerts: { state: string; labels: { alertname: string } }[] }>('alerts')
      const firing = (data?.alerts ?? []).filter(({ state }) => state === 'firing')
      return [...new Set(firing.map(({ labels }) => labels.alertname))].toSorted()
    },
    /** Returns how many scrapes of each target succeeded in the last five seconds. */
    async scrapes(): Promise<number[]> {
      const data = await query<{ result: { value: [number, string] }[] }>('query?query=sum_over_time(up[5s])')
      return (data?.result ?? []).map(({ value }) => Number(value[1]))
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await exit
      await rm(folder, { recursive: true })
    },
  }
}

/** Starts an instance whose metrics have a port of their own. */
function start(options: TrimintOptions): Promise<Trimint> {
  return startTrimint({
    metricsPort: 0,
    ...options,
    configuration: {
      publicUrl: 'https://tokens.example.com',
      store: 'sqlite::memory:',
      keys: [{ secret: KEY }],
      bws: { apps: [APP] },
      idscan: { accounts: [ACCOUNT] },
      nevisfido: {
        appId: 'https://fido.example.com/facets',
        clients: [{ id: APP.id, secret: APP.secret, users: '*' }],
        users: '*',
      },
      // Each guess blocks its account, and none the only address.
      guard: { accountFailures: 1, addressFailures: 1_000_000 },
      overload: false,
      ...options.configuration,
    },
  })
}

const authorization = basic(APP.id, APP_SECRET)
const getBws = ({ url }: Trimint) =>
  fetch(`${url}/token?id=${APP.id}&bcid=bws.1.1&task=verify&challenge=true`, { headers: { authorization } })
const createFido = ({ url }: Trimint) =>
  fetch(`${url}/nevisfido/token/create/registration`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/json' },
    body: JSON.stringify({ context: '{"username":"jeff"}', op: 'Reg' }),
  })
const logIn = ({ url }: Trimint, username: string) =>
  fetch(`${url}/idscanenterprisesvc/token`, { method: 'POST', body: new URLSearchParams({ ...LOGIN, username }) })

describe.skipIf(!hasPrometheus)(`${FOLDER}/alerts.yml`, () => {
  test('passes promtool test rules, which names every alert', async () => {
    const { stdout } = await run('promtool', ['test', 'rules', `${FOLDER}/alerts.test.yml`])
    expect(stdout).toContain('SUCCESS')
    const { groups } = parse(await readFile(`${FOLDER}/alerts.yml`, 'utf8')) as Alerting
    const tested = await readFile(`${FOLDER}/alerts.test.yml`, 'utf8')
    for (const { alert } of groups.flatMap(({ rules }) => rules)) expect(tested).toContain(`name: ${alert} `)
  })

  test('fires each alert when its fault occurs, and none before', { timeout: 180_000 }, async () => {
    const stores = await openStores('sqlite::memory:', { onError: () => undefined, onFatal: () => undefined })
    let isFaulty = false
    const tokens: typeof stores.tokens = {
      ...stores.tokens,
      async create(record) {
        if (!isFaulty) return stores.tokens.create(record)
        await sleep(300)
        throw new Error('the disk is full')
      },
    }
    let isDefective = false
    const randomness: typeof systemRandomness = {
      ...systemRandomness,
      bytes(length) {
        if (isDefective) throw new Error('a defect')
        return systemRandomness.bytes(length)
      },
    }
    // Other tests have passwords in plain text. Checks of a hash take time, so that guesses wait.
    const account = { ...ACCOUNT, password: await hashPassword('correct', systemRandomness) }
    const idscan = { accounts: [account] }
    const faulty = await start({ stores: { ...stores, tokens }, randomness, configuration: { idscan } as never })
    const overloaded = await start({ maxResidentBytes: 1, configuration: { overload: {} } as never })
    const clock = createFrozenClock(systemClock())
    const secure = await start({ clock, configuration: { tls: { cert, key } } as never })
    const instances = [faulty, overloaded, secure]
    const hosts = instances.map(({ metricsUrl = '' }) => new URL(metricsUrl).host)
    const prometheus = await startPrometheus(hosts)
    try {
      await expect
        .poll(() => prometheus.scrapes(), { timeout: 30_000 })
        .toEqual(instances.map(() => expect.any(Number)))
      expect((await getBws(faulty)).status).toBe(200)
      // On a busy machine scrapes exceed their time-out, so TrimintDown may fire at any time.
      const firing = async () => (await prometheus.firing()).filter((name) => name !== 'TrimintDown')
      expect(await firing()).toEqual([])

      isFaulty = true
      clock.set(new X509Certificate(cert).validToDate.getTime() - 3 * 86_400_000)
      const expected = [
        'TrimintCertificateExpires',
        'TrimintGuessing',
        'TrimintInternalErrors',
        'TrimintOverloaded',
        'TrimintPasswordsWait',
        'TrimintSlow',
        'TrimintStoreFails',
      ]
      const seen = new Set<string>()
      let guesses = 0
      async function guess(): Promise<void> {
        while (!seen.has('TrimintPasswordsWait') && systemClock() < deadline) {
          await (await logIn(faulty, `user-${guesses++}`)).text()
        }
      }
      const deadline = systemClock() + 90_000
      const guessers = Array.from({ length: 48 }, guess)
      while (systemClock() < deadline && seen.size < expected.length) {
        isDefective = true
        expect((await getBws(faulty)).status).toBe(500)
        isDefective = false
        const calls = [createFido(faulty), getBws(overloaded)]
        for (const reply of await Promise.all(calls)) await reply.text()
        for (const name of await firing()) seen.add(name)
        await sleep(100)
      }
      expect([...seen].toSorted()).toEqual(expected)
      await Promise.all(guessers)

      await overloaded.close({ timeoutMs: 0 })
      await expect.poll(() => prometheus.firing(), { timeout: 30_000 }).toContain('TrimintDown')
    } finally {
      await prometheus[Symbol.asyncDispose]()
      await Promise.all(instances.map((trimint) => trimint.close({ timeoutMs: 0 })))
      await stores.close()
    }
  })
})
