import { Readable, Writable } from 'node:stream'
import type { CommandIo } from '../../src/cli/io.ts'
import { runCommand } from '../../src/cli/program.ts'
import { systemClock, systemRandomness } from '../../src/system.ts'

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs one command line with a configuration file, at the machine's own time unless told otherwise. */
export async function runTrimint(
  configuration: string,
  words: readonly string[],
  { input = '', ...io }: Partial<Omit<CommandIo, 'stdin'>> & { readonly input?: string } = {},
): Promise<Outcome> {
  const written = { out: '', err: '' }
  const sink = (name: 'out' | 'err') =>
    new Writable({
      write(chunk, _encoding, done) {
        written[name] += chunk
        done()
      },
    })
  const code = await runCommand(words, {
    stdin: Readable.from([input]),
    stdout: sink('out'),
    stderr: sink('err'),
    variables: { TRIMINT_CONFIG: configuration },
    clock: systemClock,
    randomness: systemRandomness,
    ...io,
  })
  return { code, ...written }
}
