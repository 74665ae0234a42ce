import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { findFreePort } from './ports.ts'

const EXAMPLES = resolve(import.meta.dirname, '../../examples')

export interface StartedNginx extends AsyncDisposable {
  readonly url: string
  /** Returns its access and error logs. */
  log(): Promise<string>
}

/** Starts nginx on the example's configuration, with the caller's addresses (`host:port`) instead of the example's. */
export function startNginx({ trimint, backend }: { trimint: string; backend: string }): Promise<StartedNginx> {
  return startExample('nginx', 'listen 127.0.0.1:8081;', [
    ['server 127.0.0.1:8080;', `server ${trimint};`],
    ['server 127.0.0.1:9000;', `server ${backend};`],
  ])
}

/**
 * Starts nginx on an example's configuration, on a free port.
 *
 * @param listen the address in the example.
 * @param edits replacements. Throws unless each text occurs exactly once.
 */
export async function startExample(
  example: 'nginx' | 'scale',
  listen: string,
  edits: readonly (readonly [from: string, to: string])[],
): Promise<StartedNginx> {
  const address = `127.0.0.1:${await findFreePort()}`
  const text = await readExample(`${example}/nginx.conf`, [[listen, `listen ${address};`], ...edits])
  return runNginx(`http://${address}`, { 'nginx.conf': text })
}

/** Runs nginx in a folder with these files, including `nginx.conf`. Waits until it answers at a URL. */
export async function runNginx(url: string, files: Readonly<Record<string, string>>): Promise<StartedNginx> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-nginx-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)

  const words = ['-e', 'stderr', '-p', folder, '-c', 'nginx.conf', '-g', 'daemon off;']
  // Log to files: nginx opens /dev/stdout by name, and that fails when it is a socket.
  const outputs = await Promise.all(['stdout', 'stderr'].map((name) => open(join(folder, name), 'w')))
  const child = spawn('nginx', words, { stdio: ['ignore', ...outputs.map(({ fd }) => fd)] })
  const exit = once(child, 'close')
  await Promise.all(outputs.map((output) => output.close()))
  async function log(): Promise<string> {
    const files = ['stdout', 'stderr', 'access.log', 'error.log'].map((name) => join(folder, name))
    return (await Promise.all(files.filter(existsSync).map((file) => readFile(file, 'utf8')))).join('')
  }
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`nginx did not start:\n${await log()}`)
    await new Promise((done) => setTimeout(done, 20))
  }

  return {
    url,
    log,
    async [Symbol.asyncDispose]() {
      // SIGKILL would leave its workers behind.
      child.kill('SIGTERM')
      await exit
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Replaces a part of a text. Throws unless `from` occurs exactly once. */
export function replaceOnce(text: string, from: string, to: string): string {
  const parts = text.split(from)
  if (parts.length !== 2) throw new Error(`\`${from}\` occurs ${parts.length - 1} times; expected once`)
  return parts.join(to)
}

/** Returns a file of `examples/` with some of its text replaced. Throws unless each text occurs exactly once. */
export async function readExample(
  name: string,
  edits: readonly (readonly [from: string, to: string])[],
): Promise<string> {
  const text = await readFile(join(EXAMPLES, name), 'utf8')
  return edits.reduce((edited, [from, to]) => replaceOnce(edited, from, to), text)
}

async function answers(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** What the backend received. */
export interface Echo {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly bytes: number
  readonly sha256: string
}

export interface EchoBackend extends AsyncDisposable {
  /** As `host:port`. */
  readonly address: string
}

/** Starts a backend that answers every request with what it received, as JSON. */
export async function startEchoBackend(): Promise<EchoBackend> {
  const server = createServer({ maxHeaderSize: 64 * 1024 }, async (request, response) => {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of request) {
      hash.update(chunk)
      bytes += (chunk as Buffer).length
    }
    const { method, url: path, headers } = request
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ method, path, headers, bytes, sha256: hash.digest('hex') }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
