#!/usr/bin/env node
import { systemClock } from '../app/system-clock.ts'
import { systemRandomness } from '../app/system-randomness.ts'
import { runCommand } from './program.ts'

// The reader of a pipe may close it early: trimint … | head.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1))

process.exitCode = await runCommand(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  variables: process.env,
  clock: systemClock,
  randomness: systemRandomness,
})
