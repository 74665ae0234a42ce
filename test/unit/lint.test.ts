import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

// The linter's rules in lint/ and biome.json. One run checks all cases, each in a separate file.

const folder = mkdtempSync(join(tmpdir(), 'trimint-lint-'))
cpSync('lint', join(folder, 'lint'), { recursive: true })
cpSync('biome.json', join(folder, 'biome.json'))

let files = 0

/** Writes code to a new file in a folder, or to the given file. Returns its path. */
function write(code: string, place = 'src/core'): string {
  const file = place.endsWith('.ts') ? place : `${place}/case-${files++}.ts`
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), code)
  return file
}

const comparison = (expression: string) => write(`export const f = () => ${expression}\n`)
const rejectedComparisons = [
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
const acceptedComparisons = [
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
const rejectedCalls = calls.map((call) => ({ call, file: write(`export const f = () => ${call}\n`, 'src/service') }))
const system = write(
  calls.map((call, at) => `export const f${at} = () => ${call}\n`).join(''),
  'src/app/system-clock.ts',
)

const rejectedImports = [
  'fastify',
  '../app/server.ts',
  '../config/schema.ts',
  '../contracts/bws/schema.ts',
  '../app/system-clock.ts',
].map((source) => ({ source, file: write(`import { x } from '${source}'\n\nexport const y = x\n`) }))

const words = ['lint', '--vcs-enabled=false', '--max-diagnostics=none', '--reporter=github', '.']
const { stdout } = spawnSync(resolve('node_modules/.bin/biome'), words, { cwd: folder, encoding: 'utf8' })
rmSync(folder, { recursive: true })

/** Returns the linter's output about a file. */
function outputAbout(file: string): string {
  return stdout
    .split('\n')
    .filter((line) => line.includes(`file=${file},`) || line.includes(`${file},`))
    .join('\n')
}

describe('the rule for comparing secrets', () => {
  test.each(rejectedComparisons)('rejects $expression', ({ file }) => {
    expect(outputAbout(file)).toContain('Compare secrets with matchSecret')
  })

  test.each(acceptedComparisons)('accepts $expression', ({ file }) => {
    expect(outputAbout(file)).not.toContain('Compare secrets with matchSecret')
  })
})

describe('the rule for time and randomness', () => {
  test.each(rejectedCalls)('rejects $call', ({ file }) => {
    expect(outputAbout(file)).toContain('Take a Clock or a Randomness')
  })

  test('accepts every call in src/app/system-clock.ts', () => {
    expect(outputAbout(system)).not.toContain('Take a Clock or a Randomness')
  })
})

test.each(rejectedImports)('rejects an import of $source in the core', ({ file }) => {
  expect(outputAbout(file)).toContain('knows no HTTP')
})
