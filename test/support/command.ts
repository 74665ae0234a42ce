import { Readable, Writable } from 'node:stream'
import type { CommandIo } from '../../src/cli/io.ts'
import { runCommand } from '../../src/cli/program.ts'
import { createPredictableRandomness } from './randomness.ts'
import { createFrozenClock, FROZEN_TIME } from './time.ts'

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Given {
  readonly input?: string | CommandIo['stdin']
  readonly variables?: CommandIo['variables']
  /** Milliseconds since the epoch. */
  readonly now?: number
  /** Replaces the default fixed clock. */
  readonly clock?: CommandIo['clock']
  readonly randomness?: CommandIo['randomness']
  /** Does nothing by default. */
  readonly serve?: CommandIo['serve']
}

/** Runs `trimint` in this process with these arguments: a list, or text that is split at spaces. */
export async function runTrimint(words: string | readonly string[], given: Given = {}): Promise<Outcome> {
  const { input = '', variables = {}, now = FROZEN_TIME, clock, randomness = createPredictableRandomness() } = given
  const written = { out: '', err: '' }
  const sink = (name: 'out' | 'err') =>
    new Writable({
      write(chunk, _encoding, done) {
        written[name] += chunk
        done()
      },
    })
  const code = await runCommand(typeof words === 'string' ? words.split(' ').filter(Boolean) : words, {
    stdin: typeof input === 'string' ? Readable.from([input]) : input,
    stdout: sink('out'),
    stderr: sink('err'),
    variables,
    clock: clock ?? createFrozenClock(now),
    randomness,
    serve: given.serve ?? (async () => undefined),
  })
  return { code, ...written }
}
