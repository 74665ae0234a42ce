import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

// The rules that the linter has of ours. All cases are linted in one go, each in a file of its own.

const folder = mkdtempSync(join(tmpdir(), 'trimint-lint-'))
cpSync('lint', join(folder, 'lint'), { recursive: true })
cpSync('biome.json', join(folder, 'biome.json'))

let files = 0

/** Writes code into a file below this place, and gives the file's name. */
function write(code: string, place = 'src/core'): string {
  const file = place.endsWith('.ts') ? place : `${place}/case-${files++}.ts`
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), code)
  return file
}

const comparison = (expression: string) => write(`export const f = () => ${expression}\n`)
const refusedComparisons = [
  'a.secret === b',
  'b !== password',
  'app?.passwordDigest == b',
  'x != getIt().accessToken',
  'tokens[0].token === given',
  'this.clientSecret === given',
  "a.digest.toString('hex') === b",
  'a === secretHash',
  'token.trim() === b',
  "a['secret'] === b",
  'expected.equals(signature)',
  'Buffer.compare(digest, other) === 0',
].map((expression) => ({ expression, file: comparison(expression) }))
const goodComparisons = [
  'secret === undefined',
  'a.tokens === 1',
  'tokenId === b',
  'secrets.length === 0',
  'typeof secret === "string"',
  'tokenize === b',
].map((expression) => ({ expression, file: comparison(expression) }))

const calls = [
  'Date.now()',
  'new Date()',
  'randomUUID()',
  'randomBytes(3)',
  'Math.random()',
  'performance.now()',
  'Date.now',
  'crypto.randomUUID()',
  'globalThis.crypto.getRandomValues(x)',
  'process.hrtime.bigint()',
]
const refusedCalls = calls.map((call) => ({ call, file: write(`export const f = () => ${call}\n`, 'src/service') }))
const system = write(
  calls.map((call, at) => `export const f${at} = () => ${call}\n`).join(''),
  'src/app/system-clock.ts',
)

const refusedImports = [
  'fastify',
  '../app/server.ts',
  '../config/schema.ts',
  '../contracts/bws/schema.ts',
  '../app/system-clock.ts',
].map((source) => ({ source, file: write(`import { x } from '${source}'\n\nexport const y = x\n`) }))

const words = ['lint', '--vcs-enabled=false', '--max-diagnostics=none', '--reporter=github', '.']
const { stdout } = spawnSync(resolve('node_modules/.bin/biome'), words, { cwd: folder, encoding: 'utf8' })
rmSync(folder, { recursive: true })

/** What the linter said of a file. */
function saidOf(file: string): string {
  return stdout
    .split('\n')
    .filter((line) => line.includes(`file=${file},`) || line.includes(`${file},`))
    .join('\n')
}

describe('secrets are never compared with ===', () => {
  test.each(refusedComparisons)('$expression', ({ file }) => {
    expect(saidOf(file)).toContain('Compare secrets with matchSecret')
  })

  test.each(goodComparisons)('$expression is fine', ({ file }) => {
    expect(saidOf(file)).not.toContain('Compare secrets with matchSecret')
  })
})

describe('time and randomness come in as parameters', () => {
  test.each(refusedCalls)('$call', ({ file }) => {
    expect(saidOf(file)).toContain('Take a Clock or a Randomness')
  })

  test('src/app/system-clock.ts is where they begin', () => {
    expect(saidOf(system)).not.toContain('Take a Clock or a Randomness')
  })
})

test.each(refusedImports)('the core does not import $source', ({ file }) => {
  expect(saidOf(file)).toContain('knows no HTTP')
})
