import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { trackSecret } from '../../support/leak-recorder.ts'
import { readBlocks } from '../../support/markdown.ts'
import { type StartedProcess, startProcess } from '../../support/process.ts'
import { hasProgram } from '../../support/programs.ts'
import { basic, KEY } from '../../support/service.ts'

// Every snippet of the page for developers of clients, as it stands there but for the port, against a server that has the
// example configuration.

const blocks = readBlocks('docs/clients.md')

const LANGUAGES: Readonly<Record<string, { program: string; path?: string; file: string; words?: string[] }>> = {
  sh: { program: 'bash', file: 'snippet.sh', words: ['-e', '-o', 'pipefail'] },
  js: { program: 'node', path: process.execPath, file: 'snippet.mjs' },
  python: { program: 'python3', file: 'snippet.py' },
  java: { program: 'java', file: 'Snippet.java' },
  php: { program: 'php', file: 'snippet.php' },
}

const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g

/** What the snippets under a heading print, whatever the language. */
const PRINTED: Readonly<Record<string, RegExp>> = {
  'BWS: a token for one biometric task': /^eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$/,
  'IDscan: a login': /eyJ[\w-]+\.[\w-]+\.[\w-]+[\s\S]*35999/,
  'nevisFIDO: create, redeem, status': /fido\.example\.com[\s\S]*clientRegistering/,
  'Is this token good? Introspection': /active[\s\S]*demo-app[\s\S]*bws/,
}

let server: StartedProcess
let url: string
let token: string
beforeAll(async () => {
  trackSecret(KEY)
  // A machine that is busy with other tests would have snippets told to come back.
  const example = readFileSync('trimint.example.yaml', 'utf8').replace(/^overload: .*$/m, 'overload: false')
  server = await startProcess({ TRIMINT_KEY: KEY }, (folder) => writeFileSync(join(folder, 'trimint.yaml'), example))
  const [, listening = ''] = await server.sees(/"event":"server.listening","url":"(http:[^"]+)"/)
  url = listening
  const reply = await fetch(`${url}/token?id=demo-app&bcid=bws.112.12345`, {
    headers: { authorization: basic('demo-app', 'demo-secret') },
  })
  token = await reply.text()
  trackSecret(token)
})
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

/** The same, as somebody else would run it. */
const withWrongSecret = (code: string): string => code.replaceAll(/demo-(secret|password)/g, 'a-wrong-$1')

describe.each(Object.entries(LANGUAGES))('%s', (language, { program, path }) => {
  const missing = path === undefined && !hasProgram(program)
  const snippets = blocks.filter((block) => block.language === language)

  test.skipIf(missing).each(snippets)('line $line: $heading', { timeout: 60_000 }, async ({ code, heading }) => {
    const expected = PRINTED[heading]
    expect(expected, `what ${heading} prints`).toBeDefined()
    expect(await run(language, code)).toMatch(expected ?? /$^/)
    await expect(run(language, withWrongSecret(code))).rejects.toThrow('Command failed')
  })
})

test('each contract and introspection is shown in six languages; C# alone is not run', () => {
  for (const heading of Object.keys(PRINTED)) {
    const shown = blocks.filter((block) => block.heading === heading)
    expect(shown.map(({ language }) => language)).toEqual(['sh', 'js', 'python', 'java', 'csharp', 'php'])
  }
  expect(blocks).toHaveLength(6 * Object.keys(PRINTED).length)
  expect(new Set(blocks.filter(({ notRun }) => notRun).map(({ language }) => language))).toEqual(new Set(['csharp']))
})
