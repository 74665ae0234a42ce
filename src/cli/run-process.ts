import { systemClock } from '../app/system-clock.ts'
import { systemRandomness } from '../app/system-randomness.ts'
import { runCommand } from './program.ts'
import type { ServeVariables } from './serve-options.ts'

/** Runs a command line in this process, and sets the exit code. */
export async function runProcess(
  words: readonly string[],
  serve: (variables: ServeVariables) => Promise<void>,
): Promise<void> {
  // The reader of a pipe may close it early: trimint … | head.
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1))

  process.exitCode = await runCommand(words, {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    variables: process.env,
    clock: systemClock,
    randomness: systemRandomness,
    serve,
  })
}
