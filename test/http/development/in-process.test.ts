import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { StartError } from '../../../src/app/start-error.ts'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import { KEY } from '../../support/service.ts'

const ask = (url: string, path = '/token?id=demo-app&bcid=bws.112.1') =>
  fetch(`${url}${path}`, { headers: { authorization: `Basic ${btoa('demo-app:demo-secret')}` } })

/** Runs a module script in a process, in an empty folder. */
function run(script: string): { out: string; err: string; code: number | null } {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-in-process-'))
  try {
    const code = script.replaceAll('ROOT', resolve('.'))
    const words = ['--input-type=module', '-e', code]
    const { stdout, stderr, status } = spawnSync(process.execPath, words, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
    })
    return { out: stdout, err: stderr, code: status }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('L1: control', () => {
  test.each([
    ['the demo', undefined, 200],
    ['control: true', { control: true }, 200],
    ['no control', {}, 404],
    ['control: false', { control: false }, 404],
  ])('with %s', async (_name, settings, status) => {
    const configuration = settings && {
      publicUrl: 'http://localhost',
      keys: [{ secret: KEY }],
      store: 'sqlite::memory:',
      ...settings,
    }
    await using trimint = await startTrimint(configuration ? { configuration } : {})
    expect((await fetch(`${trimint.url}/_trimint/clock`)).status).toBe(status)
    if (status === 404) expect(() => trimint.clock.read()).toThrow(/no control API; expected control: true/)
  })

  test('is a configuration fault in production', async () => {
    const configuration = {
      publicUrl: 'https://a.example',
      keys: [{ secret: KEY }],
      store: 'sqlite::memory:',
      control: true,
    }
    const starting = startTrimint({ configuration, production: true })
    await expect(starting).rejects.toThrow(StartError)
    await expect(starting).rejects.toThrow('control: control API in production; expected false, or no control')
  })

  test('loads no file of src/development without it', { timeout: 90_000 }, () => {
    const script = (settings: string) => `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { startTrimint } = await import('ROOT/src/index.ts')
      const configuration = { publicUrl: 'https://a.example', keys: [{ secret: '${KEY}' }], store: 'sqlite::memory:'${settings} }
      const trimint = await startTrimint({ configuration, production: ${settings === ''} })
      await fetch(trimint.url + '/_trimint/clock')
      await trimint.close()
      console.log(loaded.some((url) => url.includes('/src/app/')), loaded.filter((url) => url.includes('/src/development/')).length)`
    expect(run(script('')).out).toBe('true 0\n')
    expect(run(script(', control: true')).out).toMatch(/^true [1-9]/)
  })
})

describe('L23: in process', () => {
  test('serves the demo silently, and is controlled without HTTP', async () => {
    await using trimint = await startTrimint()
    const token = await (await ask(trimint.url)).text()
    await trimint.clock.advance('11m')
    expect(trimint.clock.read()).toMatchObject({ offset: 660_000, frozen: false })
    const checked = await fetch(`${trimint.url}/authz/bws/verify`, { headers: { authorization: `Bearer ${token}` } })
    expect(checked.status).toBe(401)
    const fault = await trimint.faults.add({ times: 1, then: { reason: 'blocked' } })
    expect((await ask(trimint.url)).status).toBe(429)
    expect(trimint.faults.list()).toEqual([{ ...fault, met: 1 }])
    expect(await trimint.faults.remove(fault.id)).toBe(true)
    expect(await trimint.requests({ outcome: 'refused' })).toMatchObject([
      { reason: 'blocked', injected: true },
      { reason: 'token_expired' },
    ])
    expect(await trimint.waitForRequests({ count: 3 })).toHaveLength(3)
    expect(await trimint.configure({ bws: false })).toEqual({ changed: ['bws'], restart: [] })
    expect((await ask(trimint.url)).status).toBe(404)
    await trimint.reset()
    expect(await trimint.requests()).toEqual([])
    expect((await ask(trimint.url)).status).toBe(200)
  })

  test('refuses what HTTP refuses, with the same words', async () => {
    await using trimint = await startTrimint()
    await expect(trimint.clock.advance('soon')).rejects.toThrow(
      /^advance: invalid value; expected a duration such as 11m/,
    )
    await expect(trimint.configure({ gard: false })).rejects.toThrow(/gard: unknown key, did you mean guard\?/)
    await expect(trimint.reset({ only: ['x'] })).rejects.toThrow(/expected one of clock, /)
    await expect(trimint.requests({ limit: 0 })).rejects.toThrow(/^limit: /)
  })

  test('sets the clock by Date, freezes and unfreezes it', async () => {
    await using trimint = await startTrimint()
    await trimint.clock.set(new Date('2026-12-24T18:00:00Z'))
    expect(await trimint.clock.freeze()).toMatchObject({
      now: expect.stringMatching(/^2026-12-24T18:00:0/),
      frozen: true,
    })
    expect(await trimint.clock.unfreeze()).toMatchObject({ frozen: false })
    expect(await trimint.clock.reset()).toMatchObject({ offset: 0 })
  })

  test('ten at once, none of which knows of the others', { timeout: 60_000 }, async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => startTrimint()))
    const [first, ...others] = all
    if (!first) throw new Error('no instance')
    await first.clock.advance('1h')
    await first.faults.add({ then: { status: 299 } })
    await first.configure({ idscan: false })
    expect((await ask(first.url)).status).toBe(299)
    for (const other of others) {
      expect((await ask(other.url)).status).toBe(200)
      expect(other.clock.read().offset).toBe(0)
      expect(await other.requests()).toHaveLength(1)
      expect(other.configuration.idscan).not.toBe(false)
    }
    await Promise.all(all.map((trimint) => trimint.close()))
  })
})

describe('L24: starts fast and leaves nothing', () => {
  test('no timer, handle or file, and the process ends by itself', { timeout: 90_000 }, () => {
    const { out, err, code } = run(`
      import { readdirSync } from 'node:fs'
      import { startTrimint } from 'ROOT/src/index.ts'
      const trimint = await startTrimint()
      await trimint.faults.add({ match: { path: '/token' }, then: { connection: 'hang' } })
      const hanging = fetch(trimint.url + '/token').catch(() => 'ended')
      const stream = await fetch(trimint.url + '/_trimint/requests/stream')
      const waiting = trimint.waitForRequests({ count: 9, wait: '10m' })
      await trimint.waitForRequests({ path: '/token' })
      await trimint.close()
      await waiting
      await stream.text().catch(() => undefined)
      console.log(await hanging, JSON.stringify(readdirSync('.')))`)
    expect({ out, err, code }).toEqual({ out: 'ended []\n', err: '', code: 0 })
  })

  test('a start takes under 150 ms of processor time, closing under 50 ms', async () => {
    const cpuMs = async (step: () => Promise<unknown>): Promise<number> => {
      const before = process.cpuUsage()
      await step()
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1000
    }
    const times = { start: Number.POSITIVE_INFINITY, close: Number.POSITIVE_INFINITY }
    for (let round = 0; round < 4; round++) {
      const starting: { trimint?: Awaited<ReturnType<typeof startTrimint>> } = {}
      const start = await cpuMs(async () => {
        starting.trimint = await startTrimint()
      })
      const close = await cpuMs(async () => starting.trimint?.close())
      times.start = Math.min(times.start, start)
      times.close = Math.min(times.close, close)
    }
    expect(times.start).toBeLessThan(150)
    expect(times.close).toBeLessThan(50)
  })
})
