import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { trackSecret } from '../../support/leak-recorder.ts'
import { type Block, documents, readBlocks } from '../../support/markdown.ts'
import { hasProgram } from '../../support/programs.ts'
import { type Reader, startReader } from '../../support/reader.ts'

// Runs every shell command in the documents. A block that another file runs carries `<!-- run by: file -->`; a block
// that no test can run carries `<!-- not run: reason -->`.

/** Pages whose blocks clients.test.ts runs. */
const CLIENT_PAGES = 'docs/clients/'

const blocks = documents().flatMap(readBlocks)
const commands = blocks.filter(({ language, file }) => language === 'sh' && !file.startsWith(CLIENT_PAGES))
const runHere = commands.filter(({ notRun, runBy }) => notRun === undefined && runBy === undefined)

/** Maps a part of a block to its expected output. */
const PRINTED: readonly (readonly [part: string, printed: RegExp])[] = [
  ['decode "$TOKEN" --verify', /"challenge": true/],
  ['/introspect', /"active":true[\s\S]*"active":false/],
  ['revoke --app', /^revoked {2}everything issued to app demo-app/],
  ['check-config', /good\n {2}keys: 1/],
  ['guard lift', /counted until[\s\S]*lifted {2}account demo/],
  ['_trimint/authenticator', /"statusCode":1200[\s\S]*"status":"succeeded"/],
  ['authenticator register', /█[\s\S]*registered {2}FFFF#0001[\s\S]*"status":"succeeded"/],
  ['authenticator authenticate', /authenticated {2}FFFF#0001[\s\S]*"status":"succeeded"/],
  ['authenticator deregister', /deregistered {2}FFFF#0001[\s\S]*"status":"succeeded"/],
]

/** Maps a part of a block to commands that must run before it. */
const BEFORE: readonly (readonly [part: string, commands: string])[] = [
  [
    'guard lift',
    "curl -sS -d 'grant_type=password&username=demo&password=wrong' http://127.0.0.1:8080/idscanenterprisesvc/token || true",
  ],
]

/** Optional programs that this machine lacks. */
const MISSING = ['curl', 'sqlite3'].filter((program) => !hasProgram(program))

function hasPrograms({ code }: Block): boolean {
  return MISSING.every((missing) => !new RegExp(`\\b${missing}\\b`).test(code))
}

/** Matches a path outside the folder in which blocks run. */
const OUTSIDE = /(?:^|[\s"'=<>])(?:\/|~|\.\.\/)\w/m

// A block may depend on earlier blocks of its section.
const sections = Map.groupBy(runHere.filter(hasPrograms), ({ file, heading }) => `${file}: ${heading}`)

let reader: Reader
beforeAll(async () => {
  reader = await startReader()
}, 180_000)
// A section that writes a configuration must not change what the next one runs with.
afterEach(() => rm(join(reader.folder, 'trimint.yaml'), { force: true }))
afterAll(() => reader?.[Symbol.asyncDispose]())

test.each([...sections])(
  'runs the commands of %s and prints the documented output',
  { timeout: 180_000 },
  async (_name, section) => {
    for (const block of section) {
      const { code } = block
      expect(
        OUTSIDE.test(code),
        `${place(block)} names a path outside its folder; mark it with run by or not run`,
      ).toBe(false)
      for (const [part, before] of BEFORE) if (code.includes(part)) await reader.run(before)
      const printed = await reader.run(code)
      for (const [token] of printed.matchAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g)) trackSecret(token)
      for (const [part, pattern] of PRINTED) if (code.includes(part)) expect(printed, place(block)).toMatch(pattern)
    }
  },
)

test('finds a block for every expected output', () => {
  const unused = [...PRINTED, ...BEFORE].filter(([part]) => !runHere.some(({ code }) => code.includes(part)))
  expect(unused).toEqual([])
})

test('marks every command block as sh', () => {
  const others = blocks.filter(({ language }) => /^(bash|shell|console|zsh|terminal|)$/.test(language))
  expect(others.filter(({ code }) => /^\s*(\$|npm|curl|docker|trimint|node|sudo)\s/m.test(code)).map(place)).toEqual([])
})

test('finds the commands of a `run by` block in the named file, or the file reads the page', () => {
  for (const block of blocks.filter(({ runBy }) => runBy !== undefined)) {
    const files = (block.runBy ?? []).map((file) => readFileSync(file, 'utf8')).join('\n')
    if (files.includes(`'${block.file}'`)) continue
    const words = block.code.split(/\n|&&/).map((command) => command.replace(/(^| )#.*/, '').trim())
    for (const command of words.filter(Boolean)) expect(files, place(block)).toContain(command)
  }
})

test.skipIf(!hasProgram('bash'))('parses as shell where a block is marked as not run', async () => {
  const marked = commands.filter(({ notRun }) => notRun !== undefined)
  for (const block of marked) {
    await expect(promisify(execFile)('bash', ['-n', '-c', block.code]), place(block)).resolves.toBeDefined()
  }
})

function place({ file, line }: Block): string {
  return `${file}:${line}`
}
