import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTrimint } from '../../../src/app/start-trimint.ts'
import { systemClock } from '../../../src/app/system-clock.ts'
import type { Trimint } from '../../../src/app/trimint.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { captureLog } from '../../support/log.ts'
import { documents, readBlocks } from '../../support/markdown.ts'
import { hasProgram } from '../../support/programs.ts'
import { basic, KEY } from '../../support/service.ts'

// Runs every example in docs/clients, with only the port changed, against a server with the example configuration.

/** Maps each page to the output of its examples, in every language. */
const PRINTED: Readonly<Record<string, RegExp>> = {
  'docs/clients/bws.md': /^eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$/,
  'docs/clients/idscan.md': /eyJ[\w-]+\.[\w-]+\.[\w-]+[\s\S]*35999/,
  'docs/clients/nevisfido.md': /fido\.example\.com[\s\S]*clientRegistering/,
  'docs/clients/introspection.md': /active[\s\S]*demo-app[\s\S]*bws/,
}

const PAGES = Object.keys(PRINTED)
const blocks = PAGES.flatMap(readBlocks)

interface Language {
  readonly program: string
  readonly path?: string
  readonly extension: string
  readonly words?: string[]
  /** Runs several examples in one process, where a process is slow to start. */
  readonly runner?: string
}

const LANGUAGES: Readonly<Record<string, Language>> = {
  sh: { program: 'bash', extension: 'sh', words: ['-e', '-o', 'pipefail'] },
  js: { program: 'node', path: process.execPath, extension: 'mjs' },
  python: { program: 'python3', extension: 'py', runner: resolve('test/support/run_snippets.py') },
  java: {
    program: 'java',
    extension: 'java',
    // Where no locale is set, Java reads and writes ASCII.
    words: ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dfile.encoding=UTF-8'],
    runner: resolve('test/support/RunSnippets.java'),
  },
  php: { program: 'php', extension: 'php' },
}

const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g

/** A process on a busy machine. */
const START_TIMEOUT_MS = 120_000

let trimint: Trimint
let url: string
let token: string
let folder: string
beforeAll(async () => {
  trackSecret(KEY)
  folder = await mkdtemp(join(tmpdir(), 'trimint-snippets-'))
  // On a busy machine, load shedding would answer the examples with 503.
  const example = readFileSync('trimint.example.yaml', 'utf8').replace(/^overload: .*$/m, 'overload: false')
  const configFile = join(folder, 'trimint.yaml')
  await writeFile(configFile, example)
  const { logger } = captureLog(systemClock)
  trimint = await startTrimint({ configFile, variables: { TRIMINT_KEY: KEY }, logger })
  url = trimint.url
  const reply = await fetch(`${url}/token?id=demo-app&bcid=bws.112.12345`, {
    headers: { authorization: basic('demo-app', 'demo-secret') },
  })
  token = await reply.text()
  trackSecret(token)
}, START_TIMEOUT_MS)
afterAll(async () => {
  await trimint?.close({ timeoutMs: 0 })
  await rm(folder, { recursive: true, force: true })
})

interface Outcome {
  readonly isOk: boolean
  readonly printed: string
}

let written = 0

/** Runs examples of one language. */
async function runAll(language: string, codes: readonly string[]): Promise<Outcome[]> {
  const { program = '', path = program, extension, words = [], runner } = LANGUAGES[language] ?? {}
  const scripts = await Promise.all(
    codes.map(async (code) => {
      const script = join(folder, `snippet-${written++}.${extension}`)
      await writeFile(script, code.replaceAll('http://127.0.0.1:8080', url))
      return script
    }),
  )
  const execute = async (...more: string[]) => {
    const env = { ...process.env, TOKEN: token }
    return promisify(execFile)(path, [...words, ...more], { env, cwd: folder })
  }
  const outcomes: Outcome[] = []
  if (runner) {
    const { stdout } = await execute(runner, ...scripts)
    for (const line of stdout.trim().split(/\r?\n/)) {
      const [outcome, base64 = ''] = line.split(' ')
      outcomes.push({ isOk: outcome === 'ok', printed: Buffer.from(base64, 'base64').toString() })
    }
  } else {
    for (const script of scripts) {
      const outcome = await execute(script).then(
        ({ stdout }) => ({ isOk: true, printed: stdout }),
        ({ stdout, code }: { stdout: string; code: unknown }) => {
          if (typeof code !== 'number') throw new Error(`${program} did not run: ${code}`)
          return { isOk: false, printed: stdout }
        },
      )
      outcomes.push(outcome)
    }
  }
  for (const { printed } of outcomes) for (const [secret] of printed.matchAll(JWT)) trackSecret(secret)
  return outcomes
}

/** Replaces the demo credentials with wrong ones. */
const withWrongSecret = (code: string): string => code.replaceAll(/demo-(secret|password)/g, 'a-wrong-$1')

describe.each(Object.entries(LANGUAGES))('%s', (language, { program, path }) => {
  const missing = path === undefined && !hasProgram(program)
  const snippets = blocks.filter((block) => block.language === language)
  let outcomes: Outcome[]
  beforeAll(async () => {
    if (missing) return
    const codes = snippets.map(({ code }) => code)
    outcomes = await runAll(language, [...codes, ...codes.map(withWrongSecret)])
  }, START_TIMEOUT_MS)

  const title = 'prints the documented result with demo credentials and fails with wrong ones: $file, line $line'
  test.skipIf(missing).each(snippets)(title, (snippet) => {
    const index = snippets.indexOf(snippet)
    expect(outcomes[index]).toEqual({ isOk: true, printed: expect.stringMatching(PRINTED[snippet.file] ?? /$^/) })
    expect(outcomes[snippets.length + index]).toMatchObject({ isOk: false })
  })
})

test.each(PAGES)('%s has an example in each of six languages, and runs all but C#', (page) => {
  const examples = blocks.filter(({ file }) => file === page)
  expect(examples.map(({ language }) => language)).toEqual(['sh', 'js', 'python', 'java', 'csharp', 'php'])
  expect(examples.filter(({ notRun }) => notRun).map(({ language }) => language)).toEqual(['csharp'])
})

test('docs/clients has no page without expected output', () => {
  const pages = documents().filter((file) => file.startsWith('docs/clients/'))
  expect(pages.toSorted()).toEqual(PAGES.toSorted())
})
