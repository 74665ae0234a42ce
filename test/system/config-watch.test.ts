import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { startTrimint } from '../../src/app/start-trimint.ts'
import { systemClock } from '../../src/app/system-clock.ts'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import { captureLog } from '../support/log.ts'
import { startProcess } from '../support/process.ts'
import { APP, APP_SECRET, basic, KEY } from '../support/service.ts'

const INTERVAL_MS = 20
const NEW_SECRET = 'another secret 5a1c'

const BASE: ConfigurationInput = {
  publicUrl: 'https://tokens.example.com',
  keys: [{ id: 'one', secret: KEY }],
  bws: { apps: [APP] },
  overload: false,
  watch: true,
}
const CHANGED: Partial<ConfigurationInput> = { bws: { apps: [{ ...APP, secret: `plain:${NEW_SECRET}` }] } }

const textOf = (configuration: Partial<ConfigurationInput>): string => JSON.stringify({ ...BASE, ...configuration })

/** Writes files as Kubernetes updates a volume: a new folder, then one swap of the symbolic link `..data`. */
function updateVolume(folder: string, revision: number, files: Readonly<Record<string, string>>): void {
  const data = `..revision_${revision}`
  mkdirSync(join(folder, data))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, data, name), text)
  symlinkSync(data, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  if (revision > 1) rmSync(join(folder, `..revision_${revision - 1}`), { recursive: true })
  else for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(folder, name))
}

/** Starts an instance in this process, whose configuration file is in a folder that `prepare` fills. */
async function start(prepare: (folder: string) => void) {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-watch-'))
  prepare(folder)
  const { logger, lines } = captureLog(systemClock)
  const configFile = join(folder, 'trimint.yaml')
  const trimint = await startTrimint({ configFile, logger, intervals: { configWatchMs: INTERVAL_MS } })
  const reloads = () => lines.filter(({ event }) => /^configuration\.(?:reloaded|refused)$/.test(String(event)))
  return {
    trimint,
    folder,
    configFile,
    reloads,
    /** Waits until this many reloads have been logged, and returns the last one. */
    async sees(count: number) {
      await expect.poll(() => reloads().length, { interval: INTERVAL_MS }).toBe(count)
      return reloads().at(-1)
    },
    async [Symbol.asyncDispose]() {
      await trimint.close({ timeoutMs: 0 })
      await rm(folder, { recursive: true })
    },
  }
}

const store = (folder: string) => ({ store: `sqlite:${join(folder, 'trimint.db')}` })

async function statusOf(url: string, secret: string): Promise<number> {
  const reply = await fetch(`${url}/token?id=${APP.id}&bcid=bws.1.1`, {
    headers: { authorization: basic(APP.id, secret) },
  })
  return reply.status
}

describe('with watch: true', () => {
  test('applies a swapped symbolic link, completely or not at all', async () => {
    await using service = await start((folder) =>
      updateVolume(folder, 1, { 'trimint.yaml': textOf({ store: 'sqlite::memory:' }) }),
    )
    const { url } = service.trimint
    expect(await statusOf(url, APP_SECRET)).toBe(200)

    updateVolume(service.folder, 2, {
      'trimint.yaml': textOf({ ...CHANGED, store: 'sqlite::memory:', guard: 7 as never }),
    })
    expect(await service.sees(1)).toMatchObject({ event: 'configuration.refused' })
    expect(await statusOf(url, APP_SECRET)).toBe(200)

    updateVolume(service.folder, 3, { 'trimint.yaml': textOf({ ...CHANGED, store: 'sqlite::memory:' }) })
    expect(await service.sees(2)).toMatchObject({
      event: 'configuration.reloaded',
      changed: ['bws.apps[app-1].secret'],
    })
    expect(await statusOf(url, APP_SECRET)).toBe(401)
    expect(await statusOf(url, NEW_SECRET)).toBe(200)
  })

  test('applies a change of a file that the configuration names', async () => {
    const apps = [{ ...APP, secret: 'file:app-secret' }]
    await using service = await start((folder) => {
      writeFileSync(join(folder, 'app-secret'), `plain:${APP_SECRET}\n`)
      writeFileSync(join(folder, 'trimint.yaml'), textOf({ ...store(folder), bws: { apps } }))
    })
    writeFileSync(join(service.folder, 'app-secret'), `plain:${NEW_SECRET}\n`)
    expect(await service.sees(1)).toMatchObject({ changed: ['bws.apps[app-1].secret'] })
    expect(await statusOf(service.trimint.url, NEW_SECRET)).toBe(200)
  })

  test('waits until a file that is being written has not changed for an interval', async () => {
    await using service = await start((folder) => writeFileSync(join(folder, 'trimint.yaml'), textOf(store(folder))))
    const whole = textOf({ ...store(service.folder), ...CHANGED })
    for (let length = 1; length < whole.length; length += 40) {
      writeFileSync(service.configFile, whole.slice(0, length))
      await sleep(2)
    }
    writeFileSync(service.configFile, whole)
    expect(await service.sees(1)).toMatchObject({ event: 'configuration.reloaded' })
  })

  test('stops watching once the file says so', async () => {
    await using service = await start((folder) => writeFileSync(join(folder, 'trimint.yaml'), textOf(store(folder))))
    writeFileSync(service.configFile, textOf({ ...store(service.folder), watch: false }))
    expect(await service.sees(1)).toMatchObject({ changed: ['watch'] })
    writeFileSync(service.configFile, textOf({ ...store(service.folder), ...CHANGED, watch: false }))
    await sleep(10 * INTERVAL_MS)
    expect(service.reloads()).toHaveLength(1)
  })

  test('survives that the file is deleted, and applies the next one', async () => {
    await using service = await start((folder) => writeFileSync(join(folder, 'trimint.yaml'), textOf(store(folder))))
    rmSync(service.configFile)
    expect(await service.sees(1)).toMatchObject({ event: 'configuration.refused' })
    expect(await statusOf(service.trimint.url, APP_SECRET)).toBe(200)
    writeFileSync(service.configFile, textOf({ ...store(service.folder), ...CHANGED }))
    expect(await service.sees(2)).toMatchObject({ event: 'configuration.reloaded' })
  })

  test('reloads each of two workers', { timeout: 180_000 }, async () => {
    await using started = await startProcess(
      { WORKERS: '2', TRIMINT_CONFIG: 'conf/trimint.yaml', DRAIN_DELAY: '0s' },
      (folder) => {
        mkdirSync(join(folder, 'conf'))
        updateVolume(join(folder, 'conf'), 1, { 'trimint.yaml': textOf(store(folder)) })
      },
    )
    const [, url = ''] = await started.sees(/"event":"server.listening","url":"(https?:[^"]+)"/)
    updateVolume(join(started.folder, 'conf'), 2, { 'trimint.yaml': textOf({ ...store(started.folder), ...CHANGED }) })
    for (const worker of [1, 2]) {
      await started.sees(new RegExp(`"worker":${worker},"event":"configuration.reloaded","changed":\\["bws`))
    }
    for (let call = 0; call < 4; call++) expect(await statusOf(url, NEW_SECRET)).toBe(200)
  })
})
