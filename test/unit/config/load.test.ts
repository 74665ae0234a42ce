import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatConfigIssue } from '../../../src/config/config-issue.ts'
import { type Environment, readEnvironment, type Variables } from '../../../src/config/environment.ts'
import { loadConfiguration } from '../../../src/config/load.ts'
import { secretSlots } from '../../../src/config/schema.ts'
import { digestSecret } from '../../../src/core/crypto/secrets.ts'
import { createPredictableRandomness } from '../../support/randomness.ts'
import { KEY } from '../../support/service.ts'
import { FROZEN_TIME } from '../../support/time.ts'

const home = process.cwd()
const folder = mkdtempSync(join(tmpdir(), 'trimint-config-'))
beforeAll(() => process.chdir(folder))
afterAll(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true })
})

function environmentOf(variables: Variables): Environment {
  const { environment, issues } = readEnvironment(variables)
  if (issues.length > 0) throw new Error(issues.map(formatConfigIssue).join('\n'))
  return environment
}

function load(variables: Variables) {
  return loadConfiguration(environmentOf(variables), variables, FROZEN_TIME, createPredictableRandomness())
}

/** Loads YAML from a new file. */
function loadText(text: string, variables: Variables = {}) {
  const file = join(folder, 'given.yaml')
  writeFileSync(file, text)
  return load({ ...variables, TRIMINT_CONFIG: file })
}

function issuesOf(result: ReturnType<typeof load>): string[] {
  return 'issues' in result ? result.issues.map((issue) => formatConfigIssue(issue).replace(/^.*given\.yaml:/, '')) : []
}

function configurationOf(result: ReturnType<typeof load>) {
  if ('issues' in result) throw new Error(result.issues.map(formatConfigIssue).join('\n'))
  return result.configuration
}

/** RFC 7517, appendix A.1. */
const JWK = { x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4', y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM' }

const MINIMAL = `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\n`

describe('the configuration file', () => {
  test('reports a missing file that TRIMINT_CONFIG names, in every environment', () => {
    const message = expect.stringMatching(/unreadable file \(ENOENT\)/)
    for (const NODE_ENV of ['development', 'production']) {
      const result = load({ TRIMINT_CONFIG: '/nowhere/trimint.yaml', NODE_ENV })
      expect(result).toMatchObject({ issues: [{ file: '/nowhere/trimint.yaml', message }] })
    }
  })

  test('loads ./trimint.yaml unless TRIMINT_CONFIG names another file', () => {
    writeFileSync('trimint.yaml', MINIMAL)
    expect(load({})).toMatchObject({ file: './trimint.yaml' })
    rmSync('trimint.yaml')
  })

  test('requires a file in production, and explains how to write one', () => {
    const [issue] = issuesOf(load({ NODE_ENV: 'production' }))
    expect(issue).toMatch(/trimint\.example\.yaml.*TRIMINT_CONFIG/)
  })

  test('reports a folder in place of the configuration file', () => {
    expect(issuesOf(load({ TRIMINT_CONFIG: folder }))[0]).toMatch(/EISDIR/)
  })
})

describe('the built-in demo', () => {
  test('creates every demo entry, and keeps the demo key between starts, readable by its owner only', () => {
    const first = configurationOf(load({}))
    expect(first).toMatchObject({
      publicUrl: 'http://127.0.0.1:8080',
      bws: { apps: [{ id: 'demo-app', bcids: '*' }] },
      idscan: { accounts: [{ username: 'demo', areas: ['scanning', 'investigation'] }] },
      nevisfido: { clients: [{ id: 'demo-backend', users: '*' }], users: '*', protect: [] },
      resourceServers: [{ id: 'demo-api' }],
      guard: { block: 30 },
    })
    expect(configurationOf(load({})).keys).toEqual(first.keys)
    expect(statSync('data/development.key').mode & 0o777).toBe(0o600)
    expect(statSync('data').mode & 0o777).toBe(0o700)
  })

  test('derives publicUrl from HOST and PORT', () => {
    expect(configurationOf(load({ HOST: '::1', PORT: '9000' })).publicUrl).toBe('http://[::1]:9000')
    expect(configurationOf(load({ PORT: '0' })).publicUrl).toBe('http://127.0.0.1:8080')
  })

  test.each(['0.0.0.0', '::', '192.0.2.1', 'example.com'])('rejects HOST=%s', (HOST) => {
    expect(issuesOf(load({ HOST }))[0]).toMatch(/^environment HOST: .*127\.0\.0\.1/)
  })

  test('reports a damaged or unreadable key and does not replace it', () => {
    writeFileSync('data/development.key', 'short')
    expect(issuesOf(load({}))[0]).toMatch(/key of the demo.*damaged/)
    expect(readFileSync('data/development.key', 'utf8')).toBe('short')
    rmSync('data', { recursive: true })
    writeFileSync('data', 'a file where the folder should be')
    expect(issuesOf(load({}))[0]).toMatch(/EEXIST|ENOTDIR/)
    rmSync('data')
  })
})

describe('values', () => {
  test('fills in every default of a minimal configuration', () => {
    expect(configurationOf(loadText(MINIMAL))).toMatchObject({
      store: `sqlite:${join(folder, 'data/trimint.db')}`,
      bws: false,
      idscan: false,
      nevisfido: false,
      resourceServers: [],
      guard: { accountFailures: 10, addressFailures: 100, window: 900, block: 900 },
      docs: true,
      trustProxy: false,
    })
  })

  test('accepts the example, and rejects its demo secrets in production', () => {
    const TRIMINT_CONFIG = join(home, 'trimint.example.yaml')
    const good = load({ TRIMINT_CONFIG, TRIMINT_KEY: KEY })
    expect(configurationOf(good)).toMatchObject({ bws: { apps: [{ id: 'demo-app' }] } })
    const issues = issuesOf(load({ TRIMINT_CONFIG, TRIMINT_KEY: KEY, NODE_ENV: 'production' }))
    expect(issues).toHaveLength(4)
    for (const issue of issues) expect(issue).toMatch(/trimint\.example\.yaml:\d+:\d+ \S+: public example/)
  })

  test('replaces ${NAME} by an environment variable, anywhere in a value', () => {
    const text = `publicUrl: "https://\${HOST_NAME}/\${EMPTY}x"\nkeys: [{ secret: "\${K}" }]\nguard: { accountFailures: "\${N}" }\ntrustProxy: "\${T}"`
    const configuration = configurationOf(
      loadText(text, { HOST_NAME: 'a.example', EMPTY: '', K: KEY, N: '7', T: 'true' }),
    )
    expect(configuration).toMatchObject({
      publicUrl: 'https://a.example/x',
      guard: { accountFailures: 7 },
      trustProxy: true,
    })
  })

  test('reads $${NAME} as the text ${NAME}', () => {
    const configuration = configurationOf(loadText(`${MINIMAL}bws: { issuer: "a$\${b}", apps: [] }`))
    expect(configuration.bws).toMatchObject({ issuer: 'a${b}' })
  })

  test('replaces file: by the content of a file, without its last line break', () => {
    const file = join(folder, 'key')
    writeFileSync(file, `${KEY}\n`)
    const text = `publicUrl: https://t.example.com\nkeys: [{ secret: "file:\${DIR}/key" }]`
    expect(Buffer.from(configurationOf(loadText(text, { DIR: folder })).keys[0]?.secret ?? [])).toEqual(
      Buffer.from(KEY, 'base64url'),
    )
  })

  test('resolves a relative file: and a relative store against the folder of the configuration file', () => {
    const inner = join(folder, 'inner')
    mkdirSync(inner)
    writeFileSync(join(inner, 'key'), KEY)
    const text = 'publicUrl: https://t.example.com\nkeys: [{ secret: "file:key" }]\nstore: sqlite:./db/trimint.db'
    writeFileSync(join(inner, 'relative.yaml'), text)
    for (const TRIMINT_CONFIG of [join(inner, 'relative.yaml'), './inner/relative.yaml']) {
      expect(configurationOf(load({ TRIMINT_CONFIG })).store).toBe(`sqlite:${join(inner, 'db/trimint.db')}`)
    }
  })

  test('does not follow file: in the content of a variable', () => {
    const file = join(folder, 'key')
    expect(
      issuesOf(loadText(`publicUrl: https://t.example.com\nkeys: [{ secret: "\${K}" }]`, { K: `file:${file}` })),
    ).toEqual([expect.stringMatching(/keys\[0\]\.secret: invalid value/)])
  })

  test('keeps only digests of secrets in memory, in whichever form they are written', () => {
    const digest = Buffer.from(digestSecret('hello')).toString('hex').toUpperCase()
    const apps = `[{ id: a, secret: "plain:hello", bcids: "*" }, { id: b, bcids: [bws.1, x/-2], secrets: [{ secret: "sha256:${digest}", notAfter: 2027-01-31 }, { secret: "plain:x" }] }]`
    const { bws } = configurationOf(loadText(`${MINIMAL}bws: { apps: ${apps} }`))
    const [a, b] = bws ? bws.apps : []
    expect(a && secretSlots(a)).toEqual([{ digest: digestSecret('hello'), notAfter: Number.POSITIVE_INFINITY }])
    expect(b && secretSlots(b)).toMatchObject([
      { notAfter: Date.UTC(2027, 0, 31) },
      { notAfter: Number.POSITIVE_INFINITY },
    ])
    expect(Buffer.from((b && secretSlots(b)[0]?.digest) ?? [])).toEqual(Buffer.from(digestSecret('hello')))
    expect(b?.bcids).toEqual(['bws/1', 'x/-2'])
  })

  const good: [what: string, text: string][] = [
    ['a contract that is off', 'bws: false\nidscan: false\nnevisfido: false'],
    ['no guard', 'guard: false'],
    ['a store in memory', 'store: "sqlite::memory:"'],
    ['Redis', 'store: rediss://user:pw@redis.example.com:6379/1'],
    ['proxies', 'trustProxy: [10.0.0.0/8, "::1/128", loopback, 192.0.2.1]'],
    ['proxies with commas', 'trustProxy: 10.0.0.0/8, uniquelocal'],
    [
      'a bearer with a URL',
      'nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwksUrl: "http://localhost:9/j" } }',
    ],
    [
      'a bearer with keys',
      `nevisfido: { appId: https://f.example.com, users: [a], bearer: { issuer: i, audience: a, jwks: { keys: [{ kty: EC, crv: P-256, x: ${JWK.x}, y: ${JWK.y} }] } } }`,
    ],
    [
      'a policy',
      'nevisfido: { appId: https://f.example.com, users: [a], policies: { strong: { accepted: [[{ userVerification: 2, aaid: ["1234#5678"] }]] } } }',
    ],
    ['an alias', 'idscan: { accounts: [{ username: a, password: &p "plain:pw" }, { username: b, password: *p }] }'],
    ['CORS', 'idscan: { accounts: [], corsOrigins: ["https://app.example.com", "http://localhost:3000"] }'],
  ]
  test.each(good)('accepts %s', (_what, text) => {
    expect(issuesOf(loadText(MINIMAL + text))).toEqual([])
  })
})

describe('issues', () => {
  test('reports all issues at once, each with line, column, path, failure and expectation', () => {
    const text = [
      'publicUrl: ftp://x',
      'store: mysql://x',
      'kees: []',
      'keys:',
      '  - { secret: "${NOPE}", idd: 4 }',
      '  - { secret: short }',
      'bws:',
      '  lifetme: 10m',
      '  apps:',
      '    - { id: a, secret: "sha256:zz", bcids: [bws] }',
      '    - { id: a, secret: "plain:hello", secrets: [], bcids: "*", tasks: [verify, nope] }',
      'idscan:',
      '  lifetime: forever',
      '  usernameCase: insensitive',
      '  accounts:',
      '    - { username: psc, password: abc, areas: [scaning] }',
      '    - { username: PSC, password: "plain:abc" }',
      'nevisfido:',
      '  protect: [reg]',
      '  clients: [{ id: "a:b", secret: "plain:x", users: 3 }]',
      '  bearer: { issuer: a, audience: b }',
      'guard: { accountFailures: -1 }',
      'trustProxy: {}',
      'tls: { cert: "file:/nonexistent", key: "file:relative" }',
    ].join('\n')
    const issues = issuesOf(loadText(text))
    const places = issues.map((issue) => issue.split(': ')[0])
    expect(places).toEqual([
      '1:1 publicUrl',
      '2:1 store',
      '3:1 kees',
      '5:15 keys[0].secret',
      '5:26 keys[0].idd',
      '6:7 keys[1].secret',
      '8:3 bws.lifetme',
      '10:16 bws.apps[0].secret',
      '10:45 bws.apps[0].bcids[0]',
      '11:7 bws.apps[1]',
      '11:9 bws.apps[1].id',
      '11:39 bws.apps[1].secrets',
      '11:80 bws.apps[1].tasks[1]',
      '13:3 idscan.lifetime',
      '16:24 idscan.accounts[0].password',
      '16:47 idscan.accounts[0].areas[0]',
      '17:9 idscan.accounts[1].username',
      '18:1 nevisfido.appId',
      '18:1 nevisfido.users',
      '19:13 nevisfido.protect[0]',
      '20:15 nevisfido.clients[0].id',
      '20:45 nevisfido.clients[0].users',
      '21:3 nevisfido.bearer',
      '22:10 guard.accountFailures',
      '23:1 trustProxy',
      '24:14 tls.cert',
      '24:40 tls.key',
    ])
    for (const issue of issues) expect(issue).toMatch(/: [^;]+; expected /)
  })

  interface Case {
    readonly what: string
    readonly text: string
    readonly issue: RegExp
  }
  const cases: Case[] = [
    {
      what: 'a misspelled key',
      text: 'guard: { windows: 5m }',
      issue:
        /^3:10 guard\.windows: unknown key, did you mean window\?; expected accountFailures, addressFailures, window, block$/,
    },
    { what: 'a key unlike any other', text: 'whatever: 1', issue: /whatever: unknown key; expected publicUrl/ },
    { what: 'wrong case', text: 'trustproxy: true', issue: /did you mean trustProxy\?/ },
    { what: 'a section that is a list', text: 'bws: []', issue: /bws: invalid value; expected / },
    { what: 'true for a section', text: 'bws: true', issue: /bws: invalid value; expected / },
    { what: 'a missing list', text: 'bws: {}', issue: /bws\.apps: missing value; expected a list/ },
    {
      what: 'an entry without a secret',
      text: 'resourceServers: [{ id: a }]',
      issue: /resourceServers\[0\]: no secret/,
    },
    {
      what: 'an empty plain:',
      text: 'resourceServers: [{ id: a, secret: "plain:" }]',
      issue: /secret: invalid value; expected sha256:/,
    },
    {
      what: 'a lifetime of zero',
      text: 'bws: { apps: [], lifetime: 0s }',
      issue: /lifetime: invalid value; expected .*from 1s/,
    },
    {
      what: 'a lifetime with a fraction',
      text: 'bws: { apps: [], lifetime: 1500ms }',
      issue: /lifetime: invalid value/,
    },
    {
      what: 'an impossible date',
      text: 'resourceServers: [{ id: a, secrets: [{ secret: "plain:x", notAfter: 2027-02-30 }] }]',
      issue: /notAfter: invalid value; expected a date/,
    },
    {
      what: 'CORS for everyone',
      text: 'idscan: { accounts: [], corsOrigins: ["*"] }',
      issue: /corsOrigins\[0\]: invalid value; expected an origin/,
    },
    {
      what: 'CORS with a path',
      text: 'idscan: { accounts: [], corsOrigins: ["https://a.example/"] }',
      issue: /corsOrigins\[0\]/,
    },
    {
      what: 'a host name as a proxy',
      text: 'trustProxy: [proxy.example.com]',
      issue: /trustProxy: invalid value|trustProxy\[0\]: invalid value/,
    },
    { what: 'a network with too many bits', text: 'trustProxy: 10.0.0.0/33', issue: /trustProxy: invalid value/ },
    { what: 'a number of hops', text: 'trustProxy: 1', issue: /trustProxy: invalid value; expected true, false/ },
    {
      what: 'an http jwksUrl outside loopback',
      text: 'nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwksUrl: "http://x.example.com/j" } }',
      issue: /jwksUrl: invalid value; expected an absolute https/,
    },
    {
      what: 'a jwksUrl with credentials',
      text: 'nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwksUrl: "https://u:p@x.example.com/j" } }',
      issue: /jwksUrl: invalid value; expected an absolute https URL without credentials/,
    },
    {
      what: 'a private key of an issuer',
      text: `nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwks: { keys: [{ kty: EC, crv: P-256, x: ${JWK.x}, y: ${JWK.y}, d: AAAA }] } } }`,
      issue: /jwks\.keys\[0\]: malformed key; expected a public key/,
    },
    {
      what: 'a hash with invalid parameters',
      text: `idscan: { accounts: [{ username: a, password: "$argon2id$v=19$m=1,t=0,p=0$AAAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(43)}" }] }`,
      issue: /password: invalid value; expected an argon2id hash/,
    },
    {
      what: 'a hash that is cut off',
      text: `idscan: { accounts: [{ username: a, password: "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(42)}" }] }`,
      issue: /password: invalid value; expected an argon2id hash/,
    },
    {
      what: 'a hash of argon2i',
      text: `idscan: { accounts: [{ username: a, password: "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(43)}" }] }`,
      issue: /password: invalid value; expected an argon2id hash/,
    },
    {
      what: 'a weak hash',
      text: 'idscan: { accounts: [{ username: a, password: "$2b$10$abcdefghijklmnopqrstuv" }] }',
      issue: /password: invalid value; expected an argon2id hash/,
    },
    {
      what: 'a key twice in YAML',
      text: 'store: "sqlite:a"\nstore: "sqlite:b"',
      issue: /^4:1: duplicate key/,
    },
    { what: 'a key as text and as a number', text: 'bws: { "1": a, 1: b }', issue: /^3:16: duplicate key/ },
    { what: 'a tab', text: 'bws:\n\tapps: []', issue: /: tab in the indentation; expected spaces/ },
    { what: 'broken YAML', text: 'bws: { apps: [', issue: /^3:15: wrong indentation/ },
    { what: 'a stray quote', text: 'bws: "a" b', issue: /invalid YAML \(/ },
    { what: 'two documents', text: '---\na: 1', issue: /several YAML documents/ },
    {
      what: 'a bad name in ${}',
      text: 'store: "${a-b}"',
      issue: /store: invalid name of a variable; expected an environment variable/,
    },
    {
      what: 'an alias without an anchor',
      text: 'store: *nothing',
      issue: /^3:8 store: alias of an unknown anchor; expected /,
    },
    {
      what: 'a star without quotes',
      text: 'nevisfido: { appId: https://f.example.com, users: * }',
      issue: /alias without a name; expected quotes/,
    },
    { what: 'a template without quotes', text: 'store: {{ name }}', issue: /non-string key; expected a string/ },
    {
      what: 'half a secret as a key',
      text: 'resourceServers: [{ id: a, secret: plain:foo,hunter2 }]',
      issue: /^3:19 resourceServers\[0\]: key without a value; expected quotes/,
    },
    {
      what: 'a policy without a name',
      text: 'nevisfido: { appId: https://f.example.com, users: "*", policies: { "": { accepted: [[{}]] } } }',
      issue: /policies.*: invalid name; expected /,
    },
    { what: 'all addresses as proxies', text: 'trustProxy: 0.0.0.0/0', issue: /trustProxy: invalid value/ },
    {
      what: 'text that is not a certificate',
      text: 'tls: { cert: "-----BEGIN X-----\\nAAAA\\n-----END X-----", key: "-----BEGIN X-----\\nAAAA\\n-----END X-----" }',
      issue: /tls\.cert: not a certificate chain; expected certificates/,
    },
    {
      what: 'an audience that only parses',
      text: 'bws: { apps: [], audience: " https:b.example.com" }',
      issue: /audience: invalid value; expected an absolute/,
    },
    {
      what: 'a control character in a secret',
      text: 'resourceServers: [{ id: a, secret: "plain:a\\tb" }]',
      issue: /secret: invalid value/,
    },
    {
      what: 'digits without quotes as an id (007)',
      text: 'resourceServers: [{ id: 007, secret: "plain:x" }]',
      issue: /^3:21 resourceServers\[0\]\.id: number instead of text; expected .*: put quotes around the value$/,
    },
    {
      what: 'true without quotes as a name',
      text: 'bws: { issuer: true, apps: [] }',
      issue: /issuer: boolean instead of text; expected .*: put quotes around the value$/,
    },
    { what: 'an empty value', text: 'bws: { issuer: , apps: [] }', issue: /issuer: empty value; expected 1 to 256/ },
    {
      what: 'an origin with a wildcard, which matches no origin',
      text: 'idscan: { accounts: [], corsOrigins: ["https://*.example.com"] }',
      issue: /corsOrigins\[0\]: invalid value; expected an origin such as .*, no path, no wildcard/,
    },
    {
      what: 'an appId over 512 characters, which FIDO clients reject',
      text: `nevisfido: { appId: "https://f.example.com/${'x'.repeat(491)}", users: "*" }`,
      issue: /appId: invalid value; expected an https URL .* of at most 512 characters/,
    },
    {
      what: 'an appId with http, which FIDO clients reject',
      text: 'nevisfido: { appId: http://f.example.com/facets, users: "*" }',
      issue: /appId: invalid value; expected an https URL \(http for localhost only\)/,
    },
    {
      what: 'a malformed public key of an issuer',
      text: 'nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwks: { keys: [{ kty: EC, crv: P-256 }] } } }',
      issue: /jwks\.keys\[0\]: malformed key; expected a public key as a JSON Web Key/,
    },
    {
      what: 'a short public key of an issuer',
      text: `nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwks: { keys: [{ kty: RSA, e: AQAB, n: ${'_'.repeat(171)} }] } } }`,
      issue: /jwks\.keys\[0\]: short RSA key; expected 2048 bits or more/,
    },
    { what: 'a prototype', text: '__proto__: { polluted: true }', issue: /__proto__: unknown key/ },
  ]
  test.each(cases)('reports $what', ({ text, issue }) => {
    expect(issuesOf(loadText(MINIMAL + text)).join('\n')).toMatch(new RegExp(issue.source, 'm'))
  })

  test('reports aliases that expand to too many values: a YAML bomb', () => {
    const lines = ['a: &a [x, x, x, x, x, x, x, x, x]']
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'])
      lines.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(', ')}]`)
    expect(issuesOf(loadText(lines.join('\n'))).join()).toMatch(/aliases that add more than 250000 values/)
  })

  test('accepts hundreds of aliases: only what they add is limited', () => {
    const accounts = Array.from({ length: 400 }, (_, index) => `{ username: u${index}, password: *p, memberOf: *m }`)
    const text = `${MINIMAL}idscan: { accounts: [{ username: a, password: &p "plain:x", memberOf: &m [x, y] }, ${accounts}] }`
    expect(issuesOf(loadText(text))).toEqual([])
  })

  test('reports invalid UTF-8 in the configuration file with its line', () => {
    const file = join(folder, 'given.yaml')
    writeFileSync(
      file,
      Buffer.concat([
        Buffer.from(`${MINIMAL}resourceServers: [{ id: a, secret: "plain:`),
        Buffer.from([0xe4]),
        Buffer.from('"}]'),
      ]),
    )
    expect(issuesOf(load({ TRIMINT_CONFIG: file }))).toEqual(['3:1: invalid UTF-8; expected text in UTF-8'])
  })

  test('reports invalid UTF-8 in a file: with its line', () => {
    writeFileSync(join(folder, 'latin1'), Buffer.from([0x61, 0x0a, 0xe4]))
    const text = `${MINIMAL}idscan: { accounts: [{ username: a, password: "file:latin1" }] }`
    expect(issuesOf(loadText(text))).toEqual([
      '3:47 idscan.accounts[0].password: invalid UTF-8 in line 2 of the file; expected text in UTF-8',
    ])
  })

  describe('a store path that is not a regular file', () => {
    const targets: [kind: string, create: (path: string) => unknown][] = [
      ['a folder', (path) => mkdirSync(path)],
      ['a named pipe', (path) => execFileSync('mkfifo', [path])],
      ['a device', (path) => symlinkSync('/dev/null', path)],
      ['a link to nothing', (path) => symlinkSync('/nonexistent/trimint.db', path)],
    ]
    test.each(targets)('is reported as %s', (kind, create) => {
      const path = join(folder, `store-${kind.replaceAll(' ', '-')}`)
      create(path)
      expect(issuesOf(loadText(`${MINIMAL}store: sqlite:${path}`))).toEqual([
        `3:1 store: path of ${kind}; expected a regular file, or a path without one`,
      ])
    })

    test('is reported as a socket', async () => {
      const path = join(folder, 'store-socket')
      const server = createServer().listen(path)
      await once(server, 'listening')
      expect(issuesOf(loadText(`${MINIMAL}store: sqlite:${path}`)).join()).toContain('store: path of a socket')
      server.close()
    })

    test('is not changed when it is /dev/null', () => {
      const mode = statSync('/dev/null').mode
      expect(issuesOf(loadText(`${MINIMAL}store: sqlite:/dev/null`)).join()).toContain('store: path of a device')
      expect(statSync('/dev/null').mode).toBe(mode)
    })

    test('is reported with its error when it leads through a file', () => {
      writeFileSync(join(folder, 'a-file'), '')
      expect(issuesOf(loadText(`${MINIMAL}store: sqlite:a-file/trimint.db`)).join()).toContain('(ENOTDIR)')
    })
  })

  test.each([
    ['a list', 'bws: &a [*a]', '3:10 bws[0]'],
    ['a map', 'bws: &a { apps: *a }', '3:17 bws.apps'],
    ['a policy', 'nevisfido: { policies: &p { a: *p } }', '3:32 nevisfido.policies.a'],
  ])('reports %s that contains itself at the alias', (_what, text, place) => {
    expect(issuesOf(loadText(MINIMAL + text)).join('\n')).toContain(
      `${place}: alias of a value that contains it; expected `,
    )
  })

  test.each(['!!binary aGVsbG8=', '!!timestamp 2027-01-31'])(
    'reports %s once, not once for each of its members',
    (tagged) => {
      expect(issuesOf(loadText(`${MINIMAL}bws: ${tagged}`))).toEqual([
        expect.stringMatching(/^3:[0-9]+ bws: tag for a value that is not text; expected a value without a tag$/),
      ])
    },
  )

  test('reports a merge key that does not merge a map', () => {
    expect(issuesOf(loadText(`%YAML 1.1\n---\n${MINIMAL}bws: { <<: 5 }`))).toEqual([
      '1:1: invalid merge key (<<); expected settings written out',
    ])
  })

  test('reports an empty file', () => {
    expect(issuesOf(loadText('')).join()).toMatch(/invalid value; expected settings/)
  })

  test('reports keys that have all expired', () => {
    const text = `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY}, notAfter: 2026-01-01 }]`
    expect(issuesOf(loadText(text))).toEqual([expect.stringMatching(/^2:1 keys: every key has expired/)])
    expect(issuesOf(loadText(text.replace('2026-01-01', '2026-01-03')))).toEqual([])
  })

  test('rejects a key that is under 32 bytes, padded, or not base64url', () => {
    for (const secret of [KEY.slice(0, 42), `${KEY}=`, `${KEY.slice(0, 42)}+`, '']) {
      const text = `publicUrl: https://t.example.com\nkeys: [{ secret: "${secret}" }]`
      expect(issuesOf(loadText(text)).join()).toMatch(/keys\[0\]\.secret: invalid value; expected base64url of 32/)
    }
  })

  test('reports a file: that cannot be read', () => {
    const file = join(folder, 'a-folder')
    mkdirSync(file)
    chmodSync(file, 0o755)
    expect(issuesOf(loadText(`${MINIMAL}tls: { cert: "file:${file}", key: "file:${file}" }`)).join()).toMatch(/EISDIR/)
  })

  test.each([
    ['rediss://host/0?ca=missing.pem', 'ca'],
    ['postgres://u@host/d?sslmode=verify-full&sslrootcert=missing.pem', 'sslrootcert'],
  ])('reports certificates of a CA that cannot be read: %s', (store, parameter) => {
    expect(issuesOf(loadText(`${MINIMAL}store: ${store}\n`)).join()).toMatch(
      new RegExp(`store: ${parameter}: a file that cannot be read \\(ENOENT\\); expected certificates in PEM form`),
    )
  })

  test('reports other issues beside a duplicate key', () => {
    expect(issuesOf(loadText(`${MINIMAL}store: "sqlite:a"\nstore: "sqlite:b"\nguard: { window: never }`))).toHaveLength(
      2,
    )
  })

  test('finds a plain secret behind an alias in production', () => {
    const text = `${MINIMAL}bws: { apps: [{ id: a, client: &p "plain:hello", secret: *p, bcids: "*" }] }`
    expect(issuesOf(loadText(text, { NODE_ENV: 'production' })).join()).toMatch(/bws\.apps\[0\]\.secret: plain secret/)
  })

  test('rejects the key of docker-compose.yml in production', () => {
    const text = 'publicUrl: https://t.example.com\nkeys: [{ secret: bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kby1ub3QtdXNl }]'
    expect(issuesOf(loadText(text, { NODE_ENV: 'production' }))).toEqual([
      expect.stringMatching(/^2:10 keys\[0\]\.secret: public example/),
    ])
  })

  test('never repeats a configured value in an issue', () => {
    const secret = 'hunter2hunter2hunter2'
    const text = [
      `publicUrl: ${secret}`,
      `keys: [{ secret: "${secret}", notAfter: ${secret} }]`,
      `store: "${secret}"`,
      `bws: { issuer: 5, lifetime: ${secret}, challengeClaim: ${secret}, apps: [{ id: a, secret: "sha256:${secret}", bcids: ${secret} }] }`,
      `idscan: { accounts: [{ username: a, password: ${secret}, areas: [${secret}] }], corsOrigins: [${secret}] }`,
      `guard: ${secret}`,
      `trustProxy: "${secret}"`,
      `broken: "${secret}`,
    ]
    const odd = [
      `keys: [{ secret: {{${secret}}} }]`,
      `? [a, ${secret}]`,
      `store: plain:a,${secret}`,
      `store: "\${x-${secret}}"`,
      `store: *${secret}`,
    ]
    for (const line of odd) expect(issuesOf(loadText(MINIMAL + line)).join('\n')).not.toContain(secret)
    expect(issuesOf(loadText(text.slice(0, -1).join('\n'))).length).toBeGreaterThan(9)
    for (const lines of [text.slice(0, -1), text])
      expect(issuesOf(loadText(lines.join('\n'))).join('\n')).not.toContain(secret)
  })

  test('never repeats a secret that broken YAML turns into a key', () => {
    const secret = 'hunter2hunter2hunter2'
    for (const text of [
      `keys:\n  [\n    {\n\t      secret: ${secret},\n      id: a\n    },\n    { secret: "b" }\n  ]\nbws: 1`,
      `a: { ${secret}: [b: { ? [c] : d }`,
      `${secret}: { \${x}: "\${NOPE}"`,
    ]) {
      expect(issuesOf(loadText(text)).length).toBeGreaterThan(0)
      expect(issuesOf(loadText(text)).join('\n')).not.toContain(secret)
    }
  })

  test('warns about plain secrets in development and rejects them in production', () => {
    const text = `${MINIMAL}resourceServers: [{ id: a, secret: "plain:hello" }]\nidscan: { accounts: [{ username: a, password: "plain:x" }] }`
    const development = loadText(text)
    expect('warnings' in development && development.warnings.map(({ path }) => path)).toEqual([
      'resourceServers[0].secret',
      'idscan.accounts[0].password',
    ])
    const production = issuesOf(loadText(text, { NODE_ENV: 'production' }))
    expect(production).toHaveLength(2)
    for (const issue of production) expect(issue).toMatch(/plain secret; expected in production/)
  })

  test('accepts a name that begins with plain:', () => {
    const text = `${MINIMAL}bws: { apps: [], issuer: "plain:spoken" }`
    expect(issuesOf(loadText(text, { NODE_ENV: 'production' }))).toEqual([])
  })
})
