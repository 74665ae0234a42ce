import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { trackSecret } from '../../support/leak-recorder.ts'
import { documents, readBlocks } from '../../support/markdown.ts'
import { type StartedProcess, startProcess } from '../../support/process.ts'
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

const LANGUAGES: Readonly<Record<string, { program: string; path?: string; file: string; words?: string[] }>> = {
  sh: { program: 'bash', file: 'snippet.sh', words: ['-e', '-o', 'pipefail'] },
  js: { program: 'node', path: process.execPath, file: 'snippet.mjs' },
  python: { program: 'python3', file: 'snippet.py' },
  java: { program: 'java', file: 'Snippet.java' },
  php: { program: 'php', file: 'snippet.php' },
}

const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g

/** A process on a busy machine. */
const START_TIMEOUT_MS = 60_000

let server: StartedProcess
let url: string
let token: string
beforeAll(async () => {
  trackSecret(KEY)
  // On a busy machine, load shedding would answer the examples with 503.
  const example = readFileSync('trimint.example.yaml', 'utf8').replace(/^overload: .*$/m, 'overload: false')
  server = await startProcess({ TRIMINT_KEY: KEY }, (folder) => writeFileSync(join(folder, 'trimint.yaml'), example))
  const [, listening = ''] = await server.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  url = listening
  const reply = await fetch(`${url}/token?id=demo-app&bcid=bws.112.12345`, {
    headers: { authorization: basic('demo-app', 'demo-secret') },
  })
  token = await reply.text()
  trackSecret(token)
}, START_TIMEOUT_MS)
afterAll(() => server[Symbol.asyncDispose]())

async function run(language: string, code: string): Promise<string> {
  const { program = '', path = program, file = '', words = [] } = LANGUAGES[language] ?? {}
  const folder = await mkdtemp(join(tmpdir(), 'trimint-snippet-'))
  try {
    const script = join(folder, file)
    await writeFile(script, code.replaceAll('http://127.0.0.1:8080', url))
    const env = { ...process.env, TOKEN: token }
    const { stdout } = await promisify(execFile)(path, [...words, script], { env, cwd: folder })
    for (const [secret] of stdout.matchAll(JWT)) trackSecret(secret)
    return stdout
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Replaces the demo credentials with wrong ones. */
const withWrongSecret = (code: string): string => code.replaceAll(/demo-(secret|password)/g, 'a-wrong-$1')

describe.each(Object.entries(LANGUAGES))('%s', (language, { program, path }) => {
  const missing = path === undefined && !hasProgram(program)
  const snippets = blocks.filter((block) => block.language === language)

  const title = 'prints the documented result with demo credentials and fails with wrong ones: $file, line $line'
  test.skipIf(missing).each(snippets)(title, { timeout: 60_000 }, async ({ code, file }) => {
    expect(await run(language, code)).toMatch(PRINTED[file] ?? /$^/)
    await expect(run(language, withWrongSecret(code))).rejects.toThrow('Command failed')
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
