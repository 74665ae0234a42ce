import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { type InstalledPackage, installPackage, writeProjectFile } from '../support/installed-package.ts'
import { startProcess } from '../support/process.ts'
import { hasProgram } from '../support/programs.ts'

// The package as npm packs it, in a project of somebody else.

let installed: InstalledPackage
beforeAll(async () => {
  installed = await installPackage(['vitest', 'jest', '@jest/globals', 'typescript', '@types/node'])
}, 300_000)
afterAll(() => installed?.[Symbol.asyncDispose]())

/** Runs a script of the project, with this test's Node. */
async function runScript(name: string, text: string) {
  await writeProjectFile(installed, name, text)
  return installed.run(process.execPath, [name])
}

const countEntries = async (folder: string): Promise<number> => (await readdir(folder).catch(() => [])).length

/** Starts the installed program as npx does. */
const startInstalled = (variables: Record<string, string>, words: readonly string[] = []) =>
  startProcess({ DRAIN_DELAY: '0s', LOG_LEVEL: 'info', ...variables }, undefined, [
    join(installed.folder, 'node_modules/.bin/trimint'),
    ...words,
  ])

describe('the files', () => {
  test('are JavaScript, declarations and the files of console and API reference, without tests and TypeScript sources', () => {
    const unexpected = installed.files.filter(
      (file) => (/\.ts$/.test(file) && !file.endsWith('.d.ts')) || /(^|\/)test/.test(file),
    )
    expect(unexpected).toEqual([])
    expect(installed.files).toEqual(
      expect.arrayContaining([
        'README.md',
        'bin/trimint.cjs',
        'dist/index.js',
        'dist/writer-thread.js',
        'dist/types/index.d.ts',
        'openapi/openapi.json',
        'src/development/console/page/index.html',
        'src/endpoints/docs/page.html',
        'trimint.example.yaml',
      ]),
    )
  })
})

describe('the program', () => {
  test('serves the demo, whose first line on standard output contains the address, and prints its curl lines', async () => {
    await using started = await startInstalled({}, ['--port', '0'])
    await started.sees(/Your own configuration/)
    const [line = ''] = started.out().split('\n')
    const { url } = JSON.parse(line) as { url: string }
    expect(started.err().match(/^ {2}curl /gm)).toHaveLength(3)
    const authorization = `Basic ${Buffer.from('demo-app:demo-secret').toString('base64')}`
    const reply = await fetch(`${url}/token?id=demo-app&bcid=bws.1.1`, { headers: { authorization } })
    expect(await reply.text()).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    const reference = await fetch(`${url}/docs`)
    expect([reference.status, await reference.text()]).toEqual([404, expect.stringContaining('npm install')])
    expect(await (await fetch(`${url}/docs/openapi.json`)).json()).toHaveProperty('openapi')
    expect((await fetch(`${url}/_trimint/console/main.js`)).status).toBe(200)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
  })

  test('serves with several workers, each of which finds the thread of its store', async () => {
    await using started = await startInstalled({ WORKERS: '2' })
    const [, url = ''] = await started.sees(/"event":"server.listening","url":"([^"]+)"/)
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    started.child.kill('SIGTERM')
    expect(await started.ended()).toBe(0)
  })

  test.each([
    ['redis', 'redis://127.0.0.1:1'],
    ['pg', 'postgres://user@127.0.0.1:1/trimint'],
  ])('reads the configuration that --config names, and names the missing package %s', async (name, store) => {
    const key = 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4'
    const text = `publicUrl: https://t.example.com\nstore: ${store}\nkeys: [{ secret: ${key} }]\nbws: { apps: [] }\n`
    await writeProjectFile(installed, 'optional.yaml', text)
    await using started = await startInstalled({}, ['--config', join(installed.folder, 'optional.yaml')])
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}\S*optional\.yaml store: /)
    expect(started.err()).toContain(`npm install ${name}\n`)
  })

  test('names the missing packages of tracing', async () => {
    await using started = await startInstalled({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
    expect(await started.ended()).toBe(1)
    expect(started.err()).toMatch(/^trimint cannot start:\n {2}environment OTEL_\*: .*npm install @fastify\/otel .*\n$/)
  })

  test('prints its version and its help', async () => {
    const { stdout } = await installed.run('trimint', ['--version'])
    expect(stdout).toBe(`${packageJson.version}\n`)
    expect((await installed.run('trimint', ['--help'])).stdout).toMatch(/^Usage: trimint .*^ {2}serve /ms)
  })

  test("caches compiled code in its folder, in the user's where that fails, and starts where both fail", async () => {
    const own = join(installed.folder, 'node_modules/trimint/node_modules/.cache/trimint')
    const user = await mkdtemp(join(tmpdir(), 'trimint-cache-'))
    const start = async (cache: string) => {
      const { stdout, stderr } = await installed.run('trimint', ['--version'], { XDG_CACHE_HOME: cache })
      expect({ stdout, stderr }).toEqual({ stdout: `${packageJson.version}\n`, stderr: '' })
    }
    await start(user)
    expect(await countEntries(own)).toBeGreaterThan(0)
    expect(await countEntries(join(user, 'trimint'))).toBe(0)
    // A file in the folder's place: root may write to every folder.
    await rm(own, { recursive: true })
    await writeFile(own, '')
    await start(user)
    expect(await countEntries(join(user, 'trimint'))).toBeGreaterThan(0)
    await start(own)
    await rm(own)
    await rm(user, { recursive: true })
  })
})

describe('startTrimint', () => {
  test('runs ten at once, silently, and leaves no timer, handle, file or listener', async () => {
    const { stdout, stderr } = await runScript('trace.mjs', TRACE)
    expect(stderr).toBe('')
    const { urls, before, after } = JSON.parse(stdout) as { urls: string[]; before: unknown; after: unknown }
    expect(new Set(urls).size).toBe(10)
    expect(after).toEqual(before)
  })

  test('can be required', async () => {
    const text = `const { startTrimint, StartError } = require('trimint')
      startTrimint({ configuration: {} }).catch((error) => console.log(error instanceof StartError))`
    expect(await runScript('require.cjs', text)).toEqual({ stdout: 'true\n', stderr: '' })
  })

  test('names the required version of Node', async () => {
    const text = `Object.defineProperty(process.versions, 'node', { value: '22.1.0' })
      import('trimint').catch((error) => console.log(error.message))`
    expect((await runScript('old.mjs', text)).stdout).toMatch(/^trimint needs Node 24 or newer, this is v.*\n$/)
  })

  test('has types that compile in a strict project, and examples that are correct', async () => {
    await writeProjectFile(installed, 'types.ts', TYPES)
    await writeProjectFile(installed, 'tsconfig.json', JSON.stringify({ compilerOptions: STRICT, files: ['types.ts'] }))
    const { stdout } = await installed.run('tsc', ['--project', '.']).catch((error) => error as { stdout: string })
    expect(stdout).toBe('')
  })
})

describe('a service of somebody else passes its tests with', () => {
  test.each([
    ['node:test', 'npm run --silent test:node', 'npm'],
    ['vitest', 'npm run --silent test:vitest', 'npm'],
    ['jest', 'npm run --silent test:jest', 'npm'],
    ['unittest and npx', 'npm run --silent test:python', 'python3'],
    // Debian's name of pytest.
    ['pytest and npx', 'pytest-3 python', 'pytest-3'],
    ['Java and npx', 'npm run --silent test:java', 'java'],
  ])('%s', async (_name, command, needed) => {
    if (!hasProgram(needed)) return
    const [program = '', ...words] = command.split(' ')
    const child = spawn(program, words, { cwd: installed.folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    const [code] = await once(child, 'close')
    expect({ code, output }).toMatchObject({ code: 0 })
  })
})

const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  module: 'nodenext',
  target: 'esnext',
  types: ['node'],
  noEmit: true,
}

/** Measures a process before and after ten instances. */
const TRACE = `
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { setImmediate as endOfTurn } from 'node:timers/promises'
import { startTrimint } from 'trimint'

// The first listening socket of a process opens a file that the event loop keeps.
const first = createServer().listen(0, '127.0.0.1')
await once(first, 'listening')
first.close()
// Node opens them at their first use, which its own modules may be.
void process.stdout
void process.stderr

/** Handles are gone some turns of the event loop after they were closed. */
async function settle() {
  for (let turn = 0; turn < 5; turn++) await endOfTurn()
}

await settle()
const look = () => ({
  resources: process.getActiveResourcesInfo(),
  listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
  files: readdirSync('/proc/self/fd').length,
})
const before = look()
const all = await Promise.all(Array.from({ length: 10 }, () => startTrimint()))
const replies = await Promise.all(all.map(({ url }) => fetch(url + '/readyz', { headers: { connection: 'close' } })))
if (replies.some(({ status }) => status !== 200)) throw new Error('not ready')
await Promise.all(replies.map((reply) => reply.text()))
await Promise.all(all.map((trimint) => trimint.close()))
await settle()
console.log(JSON.stringify({ urls: all.map(({ url }) => url), before, after: look() }))
`

/** The examples of the doc comments, and reads of what they return. */
const TYPES = `
import { StartError, startTrimint, type CloseOptions, type Trimint, type TrimintOptions } from 'trimint'

const options: TrimintOptions = {
  configuration: {
    publicUrl: 'https://tokens.example.com',
    store: 'sqlite::memory:',
    keys: [{ secret: 'dGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4uLi4' }],
    bws: { apps: [{ id: 'shop', secret: 'plain:shop-secret', bcids: ['bws/112'] }] },
  },
}
const closeOptions: CloseOptions = { timeoutMs: 0 }
try {
  await using trimint: Trimint = await startTrimint(options)
  const url: string = trimint.url
  const publicUrl: string = trimint.configuration.publicUrl
  console.log(url, publicUrl)
  await trimint.close(closeOptions)
} catch (error) {
  if (error instanceof StartError) console.error(error.issues[0]?.path, error.code)
  else throw error
}
// @ts-expect-error A port is a number.
await startTrimint({ port: '8080' })
`
