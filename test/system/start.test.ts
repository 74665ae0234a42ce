import { exec, execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FULL } from '../support/full.ts'
import { type StartedProcess, startProcess } from '../support/process.ts'
import { programWords, SOURCES } from '../support/program.ts'
import { hasProgram } from '../support/programs.ts'

const run = promisify(execFile)
const LISTENING = /"event":"server.listening","url":"(http:[^"]+)"/

/** Starts that the short run leaves out, because each costs a second of processor time. */
const testInFull = test.skipIf(!FULL)

describe('a start without a configuration', () => {
  let started: StartedProcess
  let url: string
  let metrics: string
  beforeAll(async () => {
    started = await startProcess({ DRAIN_DELAY: '0s', METRICS_PORT: '0' }, undefined, SOURCES)
    const pattern = /"event":"server.listening","url":"(http:[^"]+)","metrics":"(http:[^"]+)"/
    ;[, url = '', metrics = ''] = await started.sees(pattern)
  })
  afterAll(() => started?.[Symbol.asyncDispose]())

  test.skipIf(!hasProgram('curl'))('prints a working curl line for each contract', async () => {
    const { index } = await started.sees(/Your own configuration/)
    expect(index).toBeGreaterThan(0)
    const lines = started.err().match(/^ {2}curl .*$/gm) ?? []
    const replies = await Promise.all(lines.map((line) => promisify(exec)(line)))
    expect(replies.map(({ stdout }) => stdout)).toEqual([
      expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/),
      expect.stringMatching(/^{"access_token":"eyJ/),
      expect.stringMatching(/^{"token":"[0-9a-f-]{36}","sessionId":"[0-9a-f-]{36}","statusCode":1200}$/),
    ])
  })

  test('stores its key, so that tokens survive a restart', () => {
    const file = join(started.folder, 'data/development.key')
    expect(readFileSync(file, 'utf8')).toMatch(/^[\w-]{43}$/)
  })

  test('serves /metrics at METRICS_PORT alone', async () => {
    expect((await fetch(`${url}/metrics`)).status).toBe(404)
    expect(await (await fetch(`${metrics}/metrics`)).text()).toMatch(/^trimint_build_info\{/m)
    expect((await fetch(`${metrics}/token`)).status).toBe(404)
  })

  test('answers `trimint healthcheck`, which finds it through its environment and reads no configuration', async () => {
    writeFileSync(join(started.folder, 'trimint.yaml'), 'broken: [')
    const options = { cwd: started.folder, env: { ...process.env, PORT: new URL(url).port } }
    const { stdout } = await run(process.execPath, [...(await programWords()), 'healthcheck'], options)
    expect(stdout).toBe(`${url}/healthz: alive\n`)
  })

  test('ends on SIGTERM without waiting for a half-sent request at METRICS_PORT', async () => {
    const socket = connect(Number(new URL(metrics).port), '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write('GET /metrics HTTP/1.1\r\nHost')
    await new Promise((done) => setTimeout(done, 100))
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(started.out()).not.toContain('server.unfinished')
  })

  test('refuses to listen on other addresses', async () => {
    await using started = await startProcess({ HOST: '0.0.0.0' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment HOST: /)
    expect(existsSync(join(started.folder, 'data'))).toBe(false)
  })

  test('exits with 1 in production', async () => {
    await using started = await startProcess({ NODE_ENV: 'production' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/trimint\.example\.yaml/)
  })
})

describe('a start with a configuration', () => {
  const configuration = {
    TRIMINT_CONFIG: 'trimint.example.yaml',
    TRIMINT_KEY: 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4',
  }

  /** The store is relative to the configuration file, so each process gets a copy of the file. */
  const startExample = (variables: Record<string, string> = configuration) =>
    startProcess(variables, (folder) => copyFileSync('trimint.example.yaml', join(folder, 'trimint.example.yaml')))

  test('prints no banner and logs its warnings', async () => {
    await using started = await startExample()
    await started.sees(LISTENING)
    expect(started.err()).toBe('')
    expect(started.out()).toMatch(/"event":"configuration.warning","warning":"[^"]*public example/)
  })

  test('reports a missing environment variable with file, line and path', async () => {
    await using started = await startExample({ ...configuration, TRIMINT_KEY: '' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/trimint\.example\.yaml:\d+:\d+ keys\[0\]\.secret: invalid value/)
  })

  test('reports all faults of the environment and of the file together', async () => {
    const file = join(import.meta.dirname, 'faulty.yaml')
    await using started = await startProcess({ PORT: 'x', LOG_LEVEL: 'y', TRIMINT_CONFIG: file })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/environment PORT: .*\n.*environment LOG_LEVEL: .*\n.*faulty\.yaml:1:1 publicUrl: /)
    expect(started.err().match(/environment/g)).toHaveLength(2)
  })

  test('reports a store that cannot be opened in one line', async () => {
    await using started = await startProcess({ TRIMINT_CONFIG: join(import.meta.dirname, 'no-store.yaml') })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(
      /^trimint cannot start:\n {2}\S+no-store\.yaml:3:1 store: path that cannot be followed \(ENOTDIR\); expected .*\n$/,
    )
  })

  test('reports a PORT in use in one line', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await using started = await startProcess({ PORT: String((taken.address() as AddressInfo).port) })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment PORT: cannot listen: .*EADDRINUSE.*\n$/)
    taken.close()
  })

  testInFull('reports a METRICS_PORT in use in one line', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await using started = await startProcess({ METRICS_PORT: String((taken.address() as AddressInfo).port) })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(
      /^trimint cannot start:\n {2}environment METRICS_PORT: cannot listen: .*EADDRINUSE.*\n$/,
    )
    taken.close()
  })
})

describe('a shutdown', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('finishes on %s, writes the whole log and exits with 0', async (signal) => {
    await using started = await startProcess({ DRAIN_DELAY: '0s' })
    const [, url = ''] = await started.sees(LISTENING)
    const authorization = `Basic ${Buffer.from('demo-app:demo-secret').toString('base64')}`
    for (let count = 0; count < 50; count++) {
      const reply = await fetch(`${url}/token?id=demo-app&bcid=bws.1.1`, { headers: { authorization } })
      expect(reply.status).toBe(200)
      await reply.text()
    }
    started.child.kill(signal)
    expect(await started.ended()).toBe(0)
    expect(started.out().match(/token\.issued/g)).toHaveLength(50)
    expect(started.out().trim().split('\n').at(-1)).toContain(`"event":"server.closing","signal":"${signal}"`)
  })

  testInFull('succeeds although the trace collector is unreachable', async () => {
    await using started = await startProcess({ DRAIN_DELAY: '0s', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
    const [, url = ''] = await started.sees(LISTENING)
    await fetch(`${url}/healthz`)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(started.out().trim().split('\n').at(-1)).toMatch(/server\.(?:unfinished","step":"tracing|closing)/)
  })

  test('ends after DRAIN_TIMEOUT although a client never finishes its request', async () => {
    await using started = await startProcess({ DRAIN_TIMEOUT: '500ms' })
    const [, url = ''] = await started.sees(LISTENING)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    // The interim response (RFC 9110, 15.2.1) says that the server has read the headers.
    socket.write('POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n')
    await once(socket, 'data')
    socket.write('ab')
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(started.out()).toMatch(/"event":"server.cut_off","timeout":500/)
  })
})

describe('a start on an old Node', () => {
  test('names the required version in one line', async () => {
    const guard = resolve('src/preload.cjs')
    const pretend = 'Object.defineProperty(process.versions, "node", { value: "20.1.0" }); require(process.argv[1])'
    const failure = await run(process.execPath, ['-e', pretend, guard]).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 1, stderr: expect.stringMatching(/^trimint needs Node 24 or newer.*\n$/) })
  })
})

describe('the compile cache', () => {
  test('keeps the compile cache in a folder that no other user can write to', async () => {
    const words = ['--require', resolve('src/preload.cjs'), '-p', 'require("node:module").getCompileCacheDir()']
    const { stdout } = await run(process.execPath, words, { env: {} })
    expect(dirname(stdout)).toBe(resolve('node_modules/.cache/trimint'))
  })
})

describe('the command line', () => {
  testInFull('prints a new key', async () => {
    const { stdout } = await run(process.execPath, [...(await programWords()), 'new-key'])
    expect(stdout).toMatch(/^[\w-]{43}\n$/)
  })

  test('exits with 2 on wrong usage', async () => {
    const words = [...(await programWords()), 'nonsense']
    const failure = await run(process.execPath, words).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 2 })
  })
})
