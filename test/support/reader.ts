import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { findFreePort } from './ports.ts'
import { startProcess } from './process.ts'
import { programWords } from './program.ts'
import { findProgram } from './programs.ts'

/**
 * The commands that documents may use. All others are missing, so that no document can change the machine that tests
 * it.
 */
const PROGRAMS = ['bash', 'sh', 'cat', 'cp', 'curl', 'expr', 'grep', 'ls', 'mkdir', 'mv', 'rm', 'sed', 'sqlite3']

/** The parts of a clone that commands in documents need. */
const PARTS = ['docs', 'examples', 'src', 'package.json', 'trimint.example.yaml']

/**
 * Replaces npm, because node_modules is shared. `npm start` ends once the server is up.
 *
 * @param program the command that runs the program, without words of its own.
 */
const npm = (port: number, program: string) => `#!/bin/bash
PATH=$PATH:/usr/bin:/bin
case "$*" in
  'run -s trimint -- '*) shift 4; exec ${program} "$@" ;;
  start) ;;
  *) echo "npm $*: no test runs this, so the block needs a mark" >&2; exit 127 ;;
esac
export PORT=${port} DRAIN_DELAY=0s
${program} >start.log 2>&1 &
server=$!
for _ in {1..100}; do
  ${program} healthcheck 2>start.log && kill "$server" && wait "$server" && exit
  sleep 0.1
done
cat start.log >&2
exit 1
`

/** A shell in a clone where `npm start` is running, for a reader who follows the documents. */
export interface Reader extends AsyncDisposable {
  readonly folder: string
  /** The URL of the server. Documents call it http://127.0.0.1:8080. */
  readonly url: string
  /**
   * Runs commands as if they were pasted, until one fails. A curl command fails on an error status.
   *
   * @returns the standard output.
   */
  run(commands: string): Promise<string>
}

export async function startReader(): Promise<Reader> {
  const port = await findFreePort()
  const program = ['node', ...(await programWords())].join(' ')
  const started = await startProcess({}, (folder) => prepare(folder, npm(port, program)))
  const { folder } = started
  const [, url = ''] = await started.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  const home = join(folder, 'home')
  const env = {
    PATH: join(home, 'bin'),
    HOME: home,
    PORT: new URL(url).port,
  }

  async function run(commands: string): Promise<string> {
    const words = ['-e', '-o', 'pipefail', '-c', commands.replaceAll('http://127.0.0.1:8080', url)]
    const { stdout } = await promisify(execFile)(join(home, 'bin/bash'), words, { cwd: folder, env, timeout: 150_000 })
    return stdout
  }

  return { folder, url, run, [Symbol.asyncDispose]: () => started[Symbol.asyncDispose]() }
}

function prepare(folder: string, npm: string): void {
  for (const part of PARTS) cpSync(part, join(folder, part), { recursive: true })
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  const programs = join(folder, 'home/bin')
  mkdirSync(programs, { recursive: true })
  // On a busy machine the server may answer 503.
  writeFileSync(join(folder, 'home/.curlrc'), 'fail-with-body\nretry 5\n')
  symlinkSync(process.execPath, join(programs, 'node'))
  for (const name of PROGRAMS) {
    const path = findProgram(name)
    if (path) symlinkSync(path, join(programs, name))
  }
  writeFileSync(join(programs, 'npm'), npm, { mode: 0o755 })
}
