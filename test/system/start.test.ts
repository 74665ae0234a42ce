import { exec, execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { startProcess } from '../support/process.ts'
import { hasProgram } from '../support/programs.ts'

const run = promisify(execFile)
const LISTENING = /"event":"server.listening","url":"(http:[^"]+)"/

describe('a start without a configuration', () => {
  test.skipIf(!hasProgram('curl'))(
    'prints curl lines that work when pasted, one for each contract that exists',
    async () => {
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
    },
  )

  test('keeps its key, so that a token outlives a restart', async () => {
    await using started = await startProcess()
    await started.sees(LISTENING)
    const file = join(started.folder, 'data/development.key')
    expect(readFileSync(file, 'utf8')).toMatch(/^[\w-]{43}$/)
  })

  test('listens for this machine only', async () => {
    await using started = await startProcess({ HOST: '0.0.0.0' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment HOST: /)
    expect(existsSync(join(started.folder, 'data'))).toBe(false)
  })

  test('in production is fatal', async () => {
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

  test('prints no banner, logs its warnings', async () => {
    await using started = await startExample()
    await started.sees(LISTENING)
    expect(started.err()).toBe('')
    expect(started.out()).toMatch(/"event":"configuration.warning","warning":"[^"]*public example/)
  })

  test('without its environment variable names file, line and path', async () => {
    await using started = await startExample({ ...configuration, TRIMINT_KEY: '' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/trimint\.example\.yaml:\d+:\d+ keys\[0\]\.secret: invalid value/)
  })

  test('every fault at once, environment first', async () => {
    await using started = await startProcess({ PORT: 'x', LOG_LEVEL: 'y' })
    expect(await started.ended()).toBe(1)
    expect(started.err().match(/environment/g)).toHaveLength(2)
  })

  test('faults of the environment and of the file come together', async () => {
    const file = join(import.meta.dirname, 'faulty.yaml')
    await using started = await startProcess({ PORT: 'x', TRIMINT_CONFIG: file })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/environment PORT: .*\n.*faulty\.yaml:1:1 publicUrl: /)
  })

  test('a store that cannot be opened is one clear line', async () => {
    await using started = await startProcess({ TRIMINT_CONFIG: join(import.meta.dirname, 'no-store.yaml') })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(
      /^trimint cannot start:\n {2}\S+no-store\.yaml:3:1 store: path that cannot be followed \(ENOTDIR\); expected .*\n$/,
    )
  })

  test('a port in use is one clear line', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await using started = await startProcess({ PORT: String((taken.address() as AddressInfo).port) })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment PORT: cannot listen: .*EADDRINUSE.*\n$/)
    taken.close()
  })
})

describe('METRICS_PORT', () => {
  test('takes /metrics away from the main port, to one of its own', async () => {
    await using started = await startProcess({ METRICS_PORT: '0' })
    const [, url = '', metrics = ''] = await started.sees(
      /"event":"server.listening","url":"(http:[^"]+)","metrics":"(http:[^"]+)"/,
    )
    expect((await fetch(`${url}/metrics`)).status).toBe(404)
    expect(await (await fetch(`${metrics}/metrics`)).text()).toMatch(/^trimint_build_info\{/m)
    expect((await fetch(`${metrics}/token`)).status).toBe(404)
  })

  test('that is taken is one clear line', async () => {
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

describe('an end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: finishes, writes the log to its last line, exits 0',
    async (signal) => {
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
    },
  )

  test('a collector of traces that is not there delays it, and that is all', async () => {
    await using started = await startProcess({ DRAIN_DELAY: '0s', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
    const [, url = ''] = await started.sees(LISTENING)
    await fetch(`${url}/healthz`)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
    expect(started.out().trim().split('\n').at(-1)).toMatch(/server\.(?:unfinished","step":"tracing|closing)/)
  })

  test('a half-sent request at METRICS_PORT does not hold it up', async () => {
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

  test('a client that never finishes its request does not keep it for ever', async () => {
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

describe('on an old Node', () => {
  test('one line says which is needed', async () => {
    const guard = resolve('src/preload.cjs')
    const pretend = 'Object.defineProperty(process.versions, "node", { value: "20.1.0" }); require(process.argv[1])'
    const failure = await run(process.execPath, ['-e', pretend, guard]).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 1, stderr: expect.stringMatching(/^trimint needs Node 24 or newer.*\n$/) })
  })
})

describe('before anything else', () => {
  test('what Node makes of the sources is looked up where no other user can write', async () => {
    const words = ['--require', resolve('src/preload.cjs'), '-p', 'require("node:module").getCompileCacheDir()']
    const { stdout } = await run(process.execPath, words, { env: {} })
    expect(dirname(stdout)).toBe(resolve('node_modules/.cache/trimint'))
  })
})

describe('the command line', () => {
  test('runs as a program', async () => {
    const { stdout } = await run(process.execPath, [resolve('src/cli/main.ts'), 'new-key'])
    expect(stdout).toMatch(/^[\w-]{43}\n$/)
    const failure = await run(process.execPath, [resolve('src/cli/main.ts'), 'nonsense']).catch(
      (error: unknown) => error,
    )
    expect(failure).toMatchObject({ code: 2 })
  })

  test('healthcheck finds the running server by its environment', async () => {
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
