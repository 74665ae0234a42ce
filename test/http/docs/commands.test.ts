import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { trackSecret } from '../../support/leak-recorder.ts'
import { type Block, documents, readBlocks } from '../../support/markdown.ts'
import { hasProgram } from '../../support/programs.ts'
import { startReader } from '../../support/reader.ts'

// Commands in documents are run, by this test or by the files that a comment names, or marked as not run. So a new block is run
// here as soon as it is written; where it cannot be, its author has to say why.

/** Run by clients.test.ts, every block of it. */
const ELSEWHERE = ['docs/clients.md']

const blocks = documents().flatMap(readBlocks)
const commands = blocks.filter(({ language, file }) => language === 'sh' && !ELSEWHERE.includes(file))
const runHere = commands.filter(({ notRun, runBy }) => notRun === undefined && runBy === undefined)

/** What a block has to print, found by a part of it. */
const PRINTED: readonly (readonly [part: string, printed: RegExp])[] = [
  ['decode "$TOKEN" --verify', /"challenge": true/],
  ['grant_type=password&username=demo', /"access_token":"eyJ/],
  ['/nevisfido/status', /"statusCode":1200,"uafRequest"[\s\S]*"status":"clientRegistering"/],
  ['/introspect', /"active":true/],
  ['revoke --app', /^revoked {2}everything issued to app demo-app/],
  ['check-config', /good\n {2}keys: 1/],
  ['guard lift', /counted until[\s\S]*lifted {2}account demo/],
]

/** What has to have happened before a block, found by a part of it. */
const BEFORE: readonly (readonly [part: string, commands: string])[] = [
  [
    'guard lift',
    "curl -sS -d 'grant_type=password&username=demo&password=wrong' http://127.0.0.1:8080/idscanenterprisesvc/token || true",
  ],
]

/** What not every machine has, and this one does not have. */
const MISSING = ['curl', 'sqlite3'].filter((program) => !hasProgram(program))

function hasPrograms({ code }: Block): boolean {
  return MISSING.every((missing) => !new RegExp(`\\b${missing}\\b`).test(code))
}

/** Of a place outside the folder where the block is run. */
const OUTSIDE = /(?:^|[\s"'=<>])(?:\/|~|\.\.\/)\w/m

// A block of a section may build on those before it.
const sections = Map.groupBy(runHere.filter(hasPrograms), ({ file, heading }) => `${file}: ${heading}`)

test.each([...sections])('the commands of %s work', { timeout: 60_000 }, async (_name, section) => {
  await using reader = await startReader()
  for (const block of section) {
    const { code } = block
    expect(OUTSIDE.test(code), `${place(block)} names a place outside its folder, so it needs a mark`).toBe(false)
    for (const [part, before] of BEFORE) if (code.includes(part)) await reader.run(before)
    const printed = await reader.run(code)
    for (const [token] of printed.matchAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g)) trackSecret(token)
    for (const [part, pattern] of PRINTED) if (code.includes(part)) expect(printed, place(block)).toMatch(pattern)
  }
})

test('what is expected of a block has a block', () => {
  const unused = [...PRINTED, ...BEFORE].filter(([part]) => !runHere.some(({ code }) => code.includes(part)))
  expect(unused).toEqual([])
})

test('commands stand in blocks of sh', () => {
  const others = blocks.filter(({ language }) => /^(bash|shell|console|zsh|terminal|)$/.test(language))
  expect(others.filter(({ code }) => /^\s*(\$|npm|curl|docker|trimint|node|sudo)\s/m.test(code)).map(place)).toEqual([])
})

test('what is run elsewhere is run there: word for word, or by a test that reads the document', () => {
  for (const block of blocks.filter(({ runBy }) => runBy !== undefined)) {
    const files = (block.runBy ?? []).map((file) => readFileSync(file, 'utf8')).join('\n')
    if (files.includes(`'${block.file}'`)) continue
    const words = block.code.split(/\n|&&/).map((command) => command.replace(/(^| )#.*/, '').trim())
    for (const command of words.filter(Boolean)) expect(files, place(block)).toContain(command)
  }
})

test.skipIf(!hasProgram('bash'))('what is not run is at least shell', async () => {
  const marked = commands.filter(({ notRun }) => notRun !== undefined)
  for (const block of marked) {
    await expect(promisify(execFile)('bash', ['-n', '-c', block.code]), place(block)).resolves.toBeDefined()
  }
})

function place({ file, line }: Block): string {
  return `${file}:${line}`
}
