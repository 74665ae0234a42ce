import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Document, isMap, isPair, isScalar, parseDocument, visit } from 'yaml'
import { formatConfigIssue } from '../../../src/config/config-issue.ts'
import { readEnvironment } from '../../../src/config/environment.ts'
import { checkConfiguration, type LoadResult } from '../../../src/config/load.ts'
import { FULL } from '../../support/full.ts'
import { CAMPAIGN_MS, reportFinding, SEED } from '../../support/fuzz/campaign.ts'
import { oddText } from '../../support/fuzz/values.ts'
import { FROZEN_TIME } from '../../support/time.ts'

// Any change to a configuration file results in a configuration or in issues with their places. No issue repeats a
// secret.

/** A part of every secret, which no issue may contain. */
const MARK = 'hunter2secret'
const KEY = Buffer.from(`${MARK}${MARK}${MARK}`).toString('base64url')
const DIGEST = Buffer.from(`${MARK}0123456789012345678`).toString('hex')
const HASH = '$argon2id$v=19$m=19456,t=2,p=1$xoidRLqFn/n5PiPVtd927A$5I1+28qJ7kpnXFkJ25W/EUjgAiviR3BSnXR/rAbI+T8'
const VARIABLES = { TRIMINT_KEY: KEY, PASSWORD: `plain:${MARK}` }

/** Parts of secrets: a change may cut a secret in two. */
const SECRETS = [MARK, KEY.slice(4, 24), DIGEST.slice(8, 28), HASH.slice(31, 50)]

const EXAMPLE = readFileSync('trimint.example.yaml', 'utf8').replaceAll(/sha256:[0-9a-f]{64}/g, `sha256:${DIGEST}`)

/** Common and rare settings, every secret written out. */
const WRITTEN_OUT = `publicUrl: https://tokens.example.com
store: rediss://user:${MARK}@redis.example.com:6379/1
keys: [{ secret: ${KEY}, id: a, notAfter: 2099-01-01 }, { secret: "\${TRIMINT_KEY}", id: b }]
bws:
  challengeClaim: string
  apps:
    - { id: a, secret: "plain:${MARK}", bcids: [bws/112, x/-1], tasks: [verify], lifetime: 5m }
    - id: b
      secrets: [{ secret: "sha256:${DIGEST}", notAfter: 2027-01-31 }, { secret: "plain:${MARK}2" }]
      bcids: "*"
idscan:
  usernameCase: insensitive
  corsOrigins: [https://app.example.com]
  accounts:
    - { username: psc, password: "${HASH}", areas: [scanning], memberOf: [a, b] }
    - username: other
      password: "\${PASSWORD}"
nevisfido:
  appId: https://fido.example.com/facets
  clients: [{ id: c, secret: &secret "plain:${MARK}", users: [jeff] }]
  bearer: { issuer: i, audience: a, jwks: { keys: [{ kty: EC, crv: P-256, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM }] } }
  users: [jeff, anna]
  policies: { default: { accepted: [[{ userVerification: 2, aaid: ["1234#5678"] }]] } }
resourceServers:
  - { id: r, secret: *secret }
guard: { accountFailures: 10, window: 15m }
overload: { eventLoopDelay: 1s }
trustProxy: [10.0.0.0/8, loopback]
`

const sources = fc.constantFrom(EXAMPLE, WRITTEN_OUT, WRITTEN_OUT)

/** One change to a text, with a description for counterexamples. */
interface Edit {
  readonly what: string
  edit(source: string): string
}

const ODD_YAML = [
  '\t',
  '\r',
  '\u0000',
  '\u0085',
  '\u2028',
  '\ufeff',
  '\ud800',
  ':',
  ': ',
  '- ',
  '? ',
  '#',
  ' #',
  '&a ',
  '*a',
  '*secret',
  '&secret ',
  '!!binary ',
  '!!str ',
  '!!int ',
  '!!set ',
  '!!omap ',
  '!!timestamp ',
  '!!js/function ',
  '!local ',
  '<<: *secret',
  '<<: ',
  '{',
  '}',
  '[',
  ']',
  ',',
  '"',
  "'",
  '|',
  '>-',
  '|2',
  '%YAML 1.1\n---\n',
  '%YAML 9.9\n---\n',
  '---\n',
  '...\n',
  '\n',
  '\n\n  ',
  '\\',
  '\\x',
  '"\\ud800"',
  '${',
  '${TRIMINT_KEY}',
  '${NOT_SET}',
  '$${',
  'file:/proc/self/environ\u0000',
  'file:relative',
  'file:/nonexistent',
  'file:/',
  '__proto__: { polluted: true }\n',
  'constructor: 1\n',
  'null',
  '~',
  '.inf',
  '.nan',
  '1e999',
  '0x7fffffffffffffff',
  '99999999999999999999999999',
  '-1',
  '0o17',
  '&a [*a, *a]',
  '&a { b: *a }',
  '['.repeat(300),
  '{a: '.repeat(300),
  '- '.repeat(300),
]

const place = fc.nat(9_999)
const at = (where: number, length: number): number => Math.floor((where / 10_000) * (length + 1))
const put = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...ODD_YAML) }, { weight: 1, arbitrary: oddText })

/** Changes the lines of a text. */
const lines = (what: string, where: number, change: (all: string[], index: number) => void): Edit => ({
  what: `${what} at ${where}`,
  edit(source) {
    const all = source.split('\n')
    change(all, at(where, all.length - 1))
    return all.join('\n')
  },
})

const textEdits = fc.oneof(
  fc.tuple(place, put).map(
    ([where, odd]): Edit => ({
      what: `${JSON.stringify(odd).slice(0, 60)} put in at ${where}`,
      edit: (source) => source.slice(0, at(where, source.length)) + odd + source.slice(at(where, source.length)),
    }),
  ),
  fc.tuple(place, fc.integer({ min: 1, max: 12 })).map(
    ([where, length]): Edit => ({
      what: `${length} characters gone at ${where}`,
      edit: (source) => source.slice(0, at(where, source.length)) + source.slice(at(where, source.length) + length),
    }),
  ),
  fc.tuple(place, put).map(([where, odd]) =>
    lines(`line ends in ${JSON.stringify(odd).slice(0, 60)}`, where, (all, index) => {
      all[index] += odd
    }),
  ),
  fc.tuple(place, put).map(([where, odd]) =>
    lines(`value ${JSON.stringify(odd).slice(0, 60)}`, where, (all, index) => {
      all[index] = (all[index] ?? '').replace(/: .*$/, () => `: ${odd}`)
    }),
  ),
  place.map((where) => lines('no line', where, (all, index) => void all.splice(index, 1))),
  place.map((where) => lines('a line twice', where, (all, index) => void all.splice(index, 0, all[index] ?? ''))),
  fc.tuple(place, place).map(([where, to]) =>
    lines(`a line to ${to}`, where, (all, index) => {
      const moved = all.splice(index, 1)
      all.splice(at(to, all.length), 0, ...moved)
    }),
  ),
  fc.tuple(place, fc.constantFrom(' ', '  ', '    ', '\t')).map(([where, indent]) =>
    lines('a line further in', where, (all, index) => {
      all[index] = `${indent}${all[index]}`
    }),
  ),
  place.map((where) =>
    lines('a line further out', where, (all, index) => {
      all[index] = (all[index] ?? '').replace(/^ {1,2}/, '')
    }),
  ),
  place.map(
    (where): Edit => ({ what: `cut off at ${where}`, edit: (source) => source.slice(0, at(where, source.length)) }),
  ),
  fc.constant<Edit>({ what: 'CRLF', edit: (source) => source.replaceAll('\n', '\r\n') }),
  fc.constant<Edit>({ what: 'a byte order mark', edit: (source) => `\ufeff${source}` }),
)

/** Changes one node of a document: the text stays valid YAML. */
const nodeEdits = fc
  .tuple(
    fc.nat(9_999),
    fc.constantFrom('gone', 'other', 'in a list', 'in a map', 'twice', 'renamed'),
    fc.oneof(fc.constantFrom<unknown>(null, true, 0, -1, 1e300, [], {}, [[]], { secret: MARK }, MARK), oddText),
  )
  .map(
    ([where, how, value]): Edit => ({
      what: `node at ${where} ${how} ${JSON.stringify(value)?.slice(0, 60)}`,
      edit(source) {
        const document = parseDocument(source, { logLevel: 'silent', uniqueKeys: false })
        if (document.errors.length > 0) return source
        let count = 0
        visit(document, { Pair: () => void count++ })
        let left = at(where, count - 1)
        visit(document, {
          Pair(_key, pair, path) {
            if (left-- > 0) return undefined
            const map = path.at(-1)
            if (how === 'gone') return visit.REMOVE
            if (how === 'twice' && isMap(map) && isPair(pair)) map.items.push(pair)
            // Only values are secret: the message for an unknown key repeats the key.
            if (how === 'renamed' && isScalar(pair.key)) pair.key.value = String(value).replaceAll(MARK, 'renamed')
            if (how === 'other') pair.value = document.createNode(value)
            if (how === 'in a list') pair.value = document.createNode([pair.value])
            if (how === 'in a map') pair.value = document.createNode({ a: pair.value })
            return visit.BREAK
          },
        })
        return writeOut(document, source)
      },
    }),
  )

/** Returns the source unchanged when the document cannot be written, such as an alias without its anchor. */
function writeOut(document: Document, before: string): string {
  try {
    return document.toString()
  } catch {
    return before
  }
}

const mutated = fc.record({
  source: sources,
  nodes: fc.array(nodeEdits, { maxLength: 2 }),
  texts: fc.array(textEdits, { maxLength: 3 }),
  production: fc.boolean(),
})

function load(source: string, NODE_ENV: string): LoadResult {
  const { environment } = readEnvironment({ NODE_ENV })
  return checkConfiguration('trimint.yaml', source, environment, VARIABLES, FROZEN_TIME)
}

function flawsIn(result: LoadResult, source: string): string[] {
  const lineCount = source.split('\n').length
  if ('configuration' in result) return []
  if (result.issues.length === 0) return ['neither a configuration nor an issue']
  return result.issues.flatMap((issue) => {
    const text = formatConfigIssue(issue)
    const hasPlace = issue.line !== undefined && issue.line >= 1 && issue.line <= lineCount && (issue.column ?? 0) >= 1
    return [
      ...(hasPlace && issue.file === 'trimint.yaml' ? [] : [`no place: ${text}`]),
      ...(/; expected |invalid YAML/.test(issue.message) ? [] : [`no help: ${text}`]),
      ...SECRETS.filter((secret) => text.includes(secret)).map((secret) => `${secret} in: ${text}`),
    ]
  })
}

test('accepts both files without changes', () => {
  for (const source of [EXAMPLE, WRITTEN_OUT]) expect(load(source, 'development')).toHaveProperty('configuration')
})

const MINIMAL = `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\n`
const laughs = Array.from({ length: 9 }, (_, depth) => `a${depth + 1}: &a${depth + 1} [${Array(9).fill(`*a${depth}`)}]`)

test.each([
  ['nothing', ''],
  ['a byte order mark alone', '\ufeff'],
  ['a tab alone', '\t'],
  ['a list', '- a'],
  ['text', 'hello'],
  ['a list that holds itself', `${MINIMAL}bws: &a [*a]`],
  ['everything in itself', '&a\npublicUrl: *a'],
  ['a policy that holds itself', `${MINIMAL}nevisfido: { policies: &p { a: *p } }`],
  ['a billion laughs', `${MINIMAL}a0: &a0 [x, x, x, x, x, x, x, x, x]\n${laughs.join('\n')}`],
  ['20,000 open brackets', `${MINIMAL}bws: ${'['.repeat(20_000)}`],
  ['5,000 lists in each other', `${MINIMAL}bws: ${'['.repeat(5_000)}${']'.repeat(5_000)}`],
  [
    '2,000 maps in each other, as blocks',
    `${MINIMAL}${Array.from({ length: 2_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')}`,
  ],
  ['5,000 dashes', `${MINIMAL}bws:\n  ${'- '.repeat(5_000)}a`],
  ['1,000 keys that are not known', `${MINIMAL}${Array.from({ length: 1_000 }, (_, i) => `k${i}: 1`).join('\n')}`],
  ['a key of 2,000 characters', `${MINIMAL}${'k'.repeat(2_000)}: 1`],
  ['a comment of 100 KB', `#${'x'.repeat(100_000)}\n${MINIMAL}guard: x`],
  ['a merge key', `${MINIMAL}guard: { <<: { window: 5m } }`],
  ['a merge key of YAML 1.1 that merges no map', `%YAML 1.1\n---\n${MINIMAL}guard: { <<: 5 }`],
  ['bytes', `${MINIMAL}bws: !!binary aGVsbG8=`],
  ['bytes that are none', `%YAML 1.1\n---\n${MINIMAL}bws: !!binary "!!!"`],
  ['a date', `${MINIMAL}bws: !!timestamp 2027-01-31`],
  ['a set', `${MINIMAL}bws: !!set { a, b }`],
  ['an ordered map', `${MINIMAL}bws: !!omap [a: 1]`],
  ['pairs', `${MINIMAL}bws: !!pairs [a]`],
  ['a function', `${MINIMAL}bws: !<tag:yaml.org,2002:js/function> "x"`],
  ['an application-specific tag', `${MINIMAL}bws: !mine { apps: [] }`],
  ['a number beyond all numbers', `${MINIMAL}guard: { accountFailures: 1e999 }`],
  ['a number of 30 digits', `${MINIMAL}guard: { accountFailures: ${'9'.repeat(30)} }`],
  ['a key twice', `${MINIMAL}docs: true\ndocs: true`],
  ['a key that is a list', `${MINIMAL}? [a]\n: b`],
  ['no key', `${MINIMAL}: b`],
  ['__proto__', `${MINIMAL}__proto__: { docs: true }`],
  ['__proto__ inside', `${MINIMAL}bws: { __proto__: { apps: [] } }`],
  ['constructor', `${MINIMAL}constructor: { prototype: {} }`],
  ['half a surrogate pair', `${MINIMAL}bws: "\\ud800"`],
  ['a NUL', `${MINIMAL}bws: \0`],
  ['a file with a NUL in its name', `${MINIMAL}bws: { issuer: "file:/a\\0b", apps: [] }`],
  ['a folder as a file', `${MINIMAL}bws: { issuer: "file:/", apps: [] }`],
  ['two documents', `${MINIMAL}---\n${MINIMAL}`],
  ['a version that there is not', `%YAML 9.9\n---\n${MINIMAL}`],
])('reports %s with its place', (_what, source) => {
  const result = load(source, 'development')
  expect(result).toHaveProperty('issues')
  expect(flawsIn(result, source)).toEqual([])
  expect(({} as { docs?: unknown }).docs).toBeUndefined()
})

test('returns a configuration or issues with places and without secrets, for a file with changes', {
  timeout: CAMPAIGN_MS + 60_000,
}, () => {
  let [valid, invalid] = [0, 0]
  const isReportedWell = fc.property(mutated, ({ source, nodes, texts, production }) => {
    const changed = [...nodes, ...texts].reduce((text, { edit }) => edit(text), source)
    const result = load(changed, production ? 'production' : 'development')
    if ('configuration' in result) valid++
    else invalid++
    const found = flawsIn(result, changed)
    const what = [...nodes, ...texts].map((edit) => edit.what).join('; ')
    if (found.length > 0) throw new Error(`${found.slice(0, 3).join('\n')}\nafter ${what}\n${changed}`)
  })
  fc.assert(isReportedWell, {
    seed: SEED,
    numRuns: FULL ? 30_000 : 120,
    interruptAfterTimeLimit: CAMPAIGN_MS,
    endOnFailure: true,
    reporter: reportFinding,
  })
  if (FULL) process.stderr.write(`configurations: ${valid} valid, ${invalid} invalid, seed ${SEED}\n`)
})
