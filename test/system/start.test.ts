import { exec, execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { startProcess } from '../support/process.ts'
import { hasProgram } from '../support/programs.ts'

const run = promisify(execFile)
const LISTENING = /"event":"server.listening","url":"(http:[^"]+)"/

describe('a start without a configuration', () => {
  test.skipIf(!hasProgram('curl'))('prints a working curl line for each contract', async () => {
    await using started = await startProcess()
    await started.sees(LISTENING)
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

  test('stores its key, so that tokens survive a restart', async () => {
    await using started = await startProcess()
    await started.sees(LISTENING)
    const file = join(started.folder, 'data/development.key')
    expect(readFileSync(file, 'utf8')).toMatch(/^[\w-]{43}$/)
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
    TRIMINT_CONFIG: resolve('trimint.example.yaml'),
    TRIMINT_KEY: 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4',
  }

  test('prints no banner and logs its warnings', async () => {
    await using started = await startProcess(configuration)
    await started.sees(LISTENING)
    expect(started.err()).toBe('')
    expect(started.out()).toMatch(/"event":"configuration.warning","warning":"[^"]*is the public example/)
  })

  test('reports a missing environment variable with file, line and path', async () => {
    await using started = await startProcess({ ...configuration, TRIMINT_KEY: '' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/trimint\.example\.yaml:\d+:\d+ keys\[0\]\.secret: invalid value/)
  })

  test('reports every fault of the environment at once', async () => {
    await using started = await startProcess({ PORT: 'x', LOG_LEVEL: 'y' })
    expect(await started.ended()).toBe(1)
    expect(started.err().match(/environment/g)).toHaveLength(2)
  })

  test('reports faults of the environment and of the file together', async () => {
    const file = join(import.meta.dirname, 'faulty.yaml')
    await using started = await startProcess({ PORT: 'x', TRIMINT_CONFIG: file })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/environment PORT: .*\n.*faulty\.yaml:1:1 publicUrl: /)
  })

  test('reports a store that cannot be opened in one line', async () => {
    await using started = await startProcess({ TRIMINT_CONFIG: join(import.meta.dirname, 'no-store.yaml') })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}\S+no-store\.yaml store: cannot be opened: .*\n$/)
  })

  test('reports a port in use in one line', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await using started = await startProcess({ PORT: String((taken.address() as AddressInfo).port) })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment PORT: cannot listen: .*EADDRINUSE.*\n$/)
    taken.close()
  })
})

describe('METRICS_PORT', () => {
  test('serves /metrics on that port alone', async () => {
    await using started = await startProcess({ METRICS_PORT: '0' })
    const [, url = '', metrics = ''] = await started.sees(
      /"event":"server.listening","url":"(http:[^"]+)","metrics":"(http:[^"]+)"/,
    )
    expect((await fetch(`${url}/metrics`)).status).toBe(404)
    expect(await (await fetch(`${metrics}/metrics`)).text()).toMatch(/^trimint_build_info\{/m)
    expect((await fetch(`${metrics}/token`)).status).toBe(404)
  })

  test('in use is reported in one line', async () => {
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
  test.each(['SIGTERM', 'SIGINT'] as const)('on %s finishes, writes the whole log and exits with 0', async (signal) => {
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

  test('succeeds although the trace collector is unreachable', async () => {
    await using started = await startProcess({ DRAIN_DELAY: '0s', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
    const [, url = ''] = await started.sees(LISTENING)
    await fetch(`${url}/healthz`)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(started.out().trim().split('\n').at(-1)).toMatch(/server\.(?:unfinished","step":"tracing|closing)/)
  })

  test('does not wait for a half-sent request at METRICS_PORT', async () => {
    await using started = await startProcess({ DRAIN_DELAY: '0s', METRICS_PORT: '0' })
    const [, metrics = ''] = await started.sees(/"metrics":"(http:[^"]+)"/)
    const socket = connect(Number(new URL(metrics).port), '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write('GET /metrics HTTP/1.1\r\nHost')
    await new Promise((done) => setTimeout(done, 100))
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(started.out()).not.toContain('server.unfinished')
  })

  test('ends after DRAIN_TIMEOUT although a client never finishes its request', async () => {
    await using started = await startProcess({ DRAIN_TIMEOUT: '500ms' })
    const [, url = ''] = await started.sees(LISTENING)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab')
    await once(socket, 'connect')
    await new Promise((done) => setTimeout(done, 100))
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
  test('is in a folder that no other user can write to', async () => {
    const words = ['--require', resolve('src/preload.cjs'), '-p', 'require("node:module").getCompileCacheDir()']
    const { stdout } = await run(process.execPath, words, { env: {} })
    expect(dirname(stdout)).toBe(resolve('node_modules/.cache/trimint'))
  })
})

describe('the command line', () => {
  test('runs as a program and exits with 2 on wrong usage', async () => {
    const { stdout } = await run(process.execPath, [resolve('src/cli/main.ts'), 'new-key'])
    expect(stdout).toMatch(/^[\w-]{43}\n$/)
    const failure = await run(process.execPath, [resolve('src/cli/main.ts'), 'nonsense']).catch(
      (error: unknown) => error,
    )
    expect(failure).toMatchObject({ code: 2 })
  })

  test('healthcheck finds the running server through its environment', async () => {
    await using started = await startProcess()
    const [, url = ''] = await started.sees(LISTENING)
    const env = { ...process.env, PORT: new URL(url).port }
    const options = { cwd: started.folder, env }
    const { stdout } = await run(process.execPath, [resolve('src/cli/main.ts'), 'healthcheck'], options)
    expect(stdout).toBe(`${url}/healthz: alive\n`)
    writeFileSync(join(started.folder, 'trimint.yaml'), 'broken: [')
    await run(process.execPath, [resolve('src/cli/main.ts'), 'healthcheck'], options)
  })
})
