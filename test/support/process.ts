import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { record, recordLog } from './leak-recorder.ts'
import { programWords } from './program.ts'

export interface StartedProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** Its working directory, which was empty. */
  readonly folder: string
  out(): string
  err(): string
  /** Waits until its output matches. */
  sees(pattern: RegExp): Promise<RegExpMatchArray>
  /** Resolves to the exit code. */
  ended(): Promise<number | null>
}

/**
 * Starts the program in an empty folder, on a free port by default.
 *
 * @param prepare creates files in the folder before the start.
 * @param words what Node runs, in place of the bundle.
 */
export async function startProcess(
  variables: Record<string, string> = {},
  prepare: (folder: string) => void = () => undefined,
  words?: readonly string[],
): Promise<StartedProcess> {
  const program = words ?? (await programWords())
  const folder = await mkdtemp(join(tmpdir(), 'trimint-process-'))
  prepare(folder)
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, PORT: '0', LOG_LEVEL: 'trace', ...variables }
  const child = spawn(process.execPath, [...program], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const written = { out: '', err: '' }
  child.stdout.on('data', (chunk) => {
    written.out += chunk
    recordLog(String(chunk))
  })
  child.stderr.on('data', (chunk) => {
    written.err += chunk
    record('stderr', String(chunk))
  })
  const exit = once(child, 'close').then(([code]) => code as number | null)

  async function sees(pattern: RegExp): Promise<RegExpMatchArray> {
    for (let waited = 0; waited < 60_000; waited += 20) {
      // Its output may be read after its end.
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      if (hasEnded) await exit
      const match = `${written.out}\n${written.err}`.match(pattern)
      if (match) return match
      if (hasEnded) break
      await new Promise((done) => setTimeout(done, 20))
    }
    throw new Error(`never saw ${pattern} in:\n${written.out}\n${written.err}`)
  }

  return {
    child,
    folder,
    out: () => written.out,
    err: () => written.err,
    sees,
    ended: () => exit,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await exit
      await rm(folder, { recursive: true, force: true })
    },
  }
}
