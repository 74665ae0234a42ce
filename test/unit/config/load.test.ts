import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
  const { environment, issues: faults } = readEnvironment(variables)
  if (faults.length > 0) throw new Error(faults.map(formatConfigIssue).join('\n'))
  return environment
}

function load(variables: Variables) {
  return loadConfiguration(environmentOf(variables), variables, FROZEN_TIME, createPredictableRandomness())
}

/** Loads YAML from a file of its own. */
function loadText(text: string, variables: Variables = {}) {
  const file = join(folder, 'given.yaml')
  writeFileSync(file, text)
  return load({ ...variables, TRIMINT_CONFIG: file })
}

function faultsOf(result: ReturnType<typeof load>): string[] {
  return 'issues' in result ? result.issues.map((fault) => formatConfigIssue(fault).replace(/^.*given\.yaml:/, '')) : []
}

function configurationOf(result: ReturnType<typeof load>) {
  if ('issues' in result) throw new Error(result.issues.map(formatConfigIssue).join('\n'))
  return result.configuration
}

const MINIMAL = `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\n`

describe('which file', () => {
  test('TRIMINT_CONFIG names it, and a missing one is a fault everywhere', () => {
    const message = expect.stringMatching(/cannot be read \(ENOENT\)/)
    for (const NODE_ENV of ['development', 'production']) {
      const result = load({ TRIMINT_CONFIG: '/nowhere/trimint.yaml', NODE_ENV })
      expect(result).toMatchObject({ faults: [{ file: '/nowhere/trimint.yaml', message }] })
    }
  })

  test('./trimint.yaml is found by itself', () => {
    writeFileSync('trimint.yaml', MINIMAL)
    expect(load({})).toMatchObject({ file: './trimint.yaml' })
    rmSync('trimint.yaml')
  })

  test('none in production is fatal, and says what to write', () => {
    const [fault] = faultsOf(load({ NODE_ENV: 'production' }))
    expect(fault).toMatch(/trimint\.example\.yaml.*TRIMINT_CONFIG/)
  })

  test('a folder instead of a file is a fault', () => {
    expect(faultsOf(load({ TRIMINT_CONFIG: folder }))[0]).toMatch(/EISDIR/)
  })
})

describe('the built-in development configuration', () => {
  test('has every demo entry, and a key that is kept between starts, readable by nobody else', () => {
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

  test('follows HOST and PORT', () => {
    expect(configurationOf(load({ HOST: '::1', PORT: '9000' })).publicUrl).toBe('http://[::1]:9000')
    expect(configurationOf(load({ PORT: '0' })).publicUrl).toBe('http://127.0.0.1:8080')
  })

  test.each(['0.0.0.0', '::', '192.0.2.1', 'example.com'])('never listens on %s', (HOST) => {
    expect(faultsOf(load({ HOST }))[0]).toMatch(/^environment HOST: .*127\.0\.0\.1/)
  })

  test('a damaged or unreadable key is a fault, never a new key', () => {
    writeFileSync('data/development.key', 'short')
    expect(faultsOf(load({}))[0]).toMatch(/key of the demo.*damaged/)
    expect(readFileSync('data/development.key', 'utf8')).toBe('short')
    rmSync('data', { recursive: true })
    writeFileSync('data', 'a file where the folder should be')
    expect(faultsOf(load({}))[0]).toMatch(/EEXIST|ENOTDIR/)
    rmSync('data')
  })
})

describe('values', () => {
  test('the least configuration has every default', () => {
    expect(configurationOf(loadText(MINIMAL))).toMatchObject({
      store: 'sqlite:./data/trimint.db',
      bws: false,
      idscan: false,
      nevisfido: false,
      resourceServers: [],
      guard: { accountFailures: 10, addressFailures: 100, window: 900, block: 900 },
      docs: true,
      trustProxy: false,
    })
  })

  test('the example is good, and its demo secrets are refused in production', () => {
    const TRIMINT_CONFIG = join(home, 'trimint.example.yaml')
    const good = load({ TRIMINT_CONFIG, TRIMINT_KEY: KEY })
    expect(configurationOf(good)).toMatchObject({ bws: { apps: [{ id: 'demo-app' }] } })
    const faults = faultsOf(load({ TRIMINT_CONFIG, TRIMINT_KEY: KEY, NODE_ENV: 'production' }))
    expect(faults).toHaveLength(4)
    for (const fault of faults) expect(fault).toMatch(/trimint\.example\.yaml:\d+:\d+ \S+: is the public example/)
  })

  test('${NAME} is an environment variable, anywhere in a value', () => {
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

  test('$${NAME} is the text ${NAME}', () => {
    const configuration = configurationOf(loadText(`${MINIMAL}bws: { issuer: "a$\${b}", apps: [] }`))
    expect(configuration.bws).toMatchObject({ issuer: 'a${b}' })
  })

  test('file: is the content of a file, without its last line break', () => {
    const file = join(folder, 'key')
    writeFileSync(file, `${KEY}\n`)
    const text = `publicUrl: https://t.example.com\nkeys: [{ secret: "file:\${DIR}/key" }]`
    expect(Buffer.from(configurationOf(loadText(text, { DIR: folder })).keys[0]?.secret ?? [])).toEqual(
      Buffer.from(KEY, 'base64url'),
    )
  })

  test('a variable that holds file: is not followed', () => {
    const file = join(folder, 'key')
    expect(
      faultsOf(loadText(`publicUrl: https://t.example.com\nkeys: [{ secret: "\${K}" }]`, { K: `file:${file}` })),
    ).toEqual([expect.stringMatching(/keys\[0\]\.secret: is not valid/)])
  })

  test('secrets are digests in memory, whichever way they are written', () => {
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
      'nevisfido: { appId: https://f.example.com, users: [a], bearer: { issuer: i, audience: a, jwks: { keys: [{ kty: EC, crv: P-256 }] } } }',
    ],
    [
      'a policy',
      'nevisfido: { appId: https://f.example.com, users: [a], policies: { strong: { accepted: [[{ userVerification: 2, aaid: ["1234#5678"] }]] } } }',
    ],
    ['an alias', 'idscan: { accounts: [{ username: a, password: &p "plain:pw" }, { username: b, password: *p }] }'],
    ['CORS', 'idscan: { accounts: [], corsOrigins: ["https://app.example.com", "http://localhost:3000"] }'],
  ]
  test.each(good)('%s is good', (_what, text) => {
    expect(faultsOf(loadText(MINIMAL + text))).toEqual([])
  })
})

describe('faults', () => {
  test('every one at once, each with line, column, path, what is wrong and what is allowed', () => {
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
    const faults = faultsOf(loadText(text))
    const places = faults.map((fault) => fault.split(': ')[0])
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
    for (const fault of faults) expect(fault).toMatch(/ (is|has|names|stands|differs|needs) .*; (allowed|did you mean)/)
  })

  interface Case {
    readonly what: string
    readonly text: string
    readonly fault: RegExp
  }
  const cases: Case[] = [
    {
      what: 'a near miss',
      text: 'guard: { windows: 5m }',
      fault:
        /^3:10 guard\.windows: is not a known key, did you mean window\?; allowed: accountFailures, addressFailures, window, block$/,
    },
    { what: 'a key unlike any other', text: 'whatever: 1', fault: /whatever: is not a known key; allowed: publicUrl/ },
    { what: 'wrong case', text: 'trustproxy: true', fault: /did you mean trustProxy\?/ },
    { what: 'a section that is a list', text: 'bws: []', fault: /bws: is not valid; allowed: / },
    { what: 'true for a section', text: 'bws: true', fault: /bws: is not valid; allowed: / },
    { what: 'a missing list', text: 'bws: {}', fault: /bws\.apps: is missing; allowed: a list/ },
    { what: 'no secret', text: 'resourceServers: [{ id: a }]', fault: /resourceServers\[0\]: has no secret/ },
    {
      what: 'a plain: that is empty',
      text: 'resourceServers: [{ id: a, secret: "plain:" }]',
      fault: /secret: is not valid; allowed: sha256:/,
    },
    {
      what: 'a lifetime of nothing',
      text: 'bws: { apps: [], lifetime: 0s }',
      fault: /lifetime: is not valid; allowed: .*from 1s/,
    },
    {
      what: 'a lifetime with a fraction',
      text: 'bws: { apps: [], lifetime: 1500ms }',
      fault: /lifetime: is not valid/,
    },
    {
      what: 'a date that is none',
      text: 'resourceServers: [{ id: a, secrets: [{ secret: "plain:x", notAfter: 2027-02-30 }] }]',
      fault: /notAfter: is not valid; allowed: a date/,
    },
    {
      what: 'CORS for everyone',
      text: 'idscan: { accounts: [], corsOrigins: ["*"] }',
      fault: /corsOrigins\[0\]: is not valid; allowed: an origin/,
    },
    {
      what: 'CORS with a path',
      text: 'idscan: { accounts: [], corsOrigins: ["https://a.example/"] }',
      fault: /corsOrigins\[0\]/,
    },
    {
      what: 'a proxy that is a name',
      text: 'trustProxy: [proxy.example.com]',
      fault: /trustProxy: is not valid|trustProxy\[0\]: is not valid/,
    },
    { what: 'a network with too many bits', text: 'trustProxy: 10.0.0.0/33', fault: /trustProxy: is not valid/ },
    { what: 'a number of hops', text: 'trustProxy: 1', fault: /trustProxy: is not valid; allowed: true, false/ },
    {
      what: 'http for keys from outside',
      text: 'nevisfido: { appId: https://f.example.com, users: "*", bearer: { issuer: i, audience: a, jwksUrl: "http://x.example.com/j" } }',
      fault: /jwksUrl: is not valid; allowed: an absolute https/,
    },
    {
      what: 'a hash whose parameters are not allowed',
      text: `idscan: { accounts: [{ username: a, password: "$argon2id$v=19$m=1,t=0,p=0$AAAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(43)}" }] }`,
      fault: /password: is not valid; allowed: an argon2id hash/,
    },
    {
      what: 'a hash that is cut off',
      text: `idscan: { accounts: [{ username: a, password: "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(42)}" }] }`,
      fault: /password: is not valid; allowed: an argon2id hash/,
    },
    {
      what: 'a hash of argon2i',
      text: `idscan: { accounts: [{ username: a, password: "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$${'A'.repeat(43)}" }] }`,
      fault: /password: is not valid; allowed: an argon2id hash/,
    },
    {
      what: 'a weak hash',
      text: 'idscan: { accounts: [{ username: a, password: "$2b$10$abcdefghijklmnopqrstuv" }] }',
      fault: /password: is not valid; allowed: an argon2id hash/,
    },
    {
      what: 'a key twice in YAML',
      text: 'store: "sqlite:a"\nstore: "sqlite:b"',
      fault: /^4:1: this key stands here twice/,
    },
    { what: 'a tab', text: 'bws:\n\tapps: []', fault: /: is indented with a tab; allowed: blanks/ },
    { what: 'broken YAML', text: 'bws: { apps: [', fault: /^3:15: is indented wrongly/ },
    { what: 'a stray quote', text: 'bws: "a" b', fault: /is not valid YAML \(/ },
    { what: 'two documents', text: '---\na: 1', fault: /several YAML documents/ },
    {
      what: 'a bad name in ${}',
      text: 'store: "${a-b}"',
      fault: /store: a name that is none is not set; allowed: the name of an environment variable/,
    },
    { what: 'an alias of nothing', text: 'store: *nothing', fault: /^3:8 store: names no anchor; allowed: / },
    {
      what: 'a star without quotes',
      text: 'nevisfido: { appId: https://f.example.com, users: * }',
      fault: /alias without a name; allowed: quotes/,
    },
    { what: 'a template without quotes', text: 'store: {{ name }}', fault: /has a key that is no text; allowed: text/ },
    {
      what: 'half a secret as a key',
      text: 'resourceServers: [{ id: a, secret: plain:foo,hunter2 }]',
      fault: /^3:19 resourceServers\[0\]: has a key without a value; allowed: quotes/,
    },
    {
      what: 'a policy without a name',
      text: 'nevisfido: { appId: https://f.example.com, users: "*", policies: { "": { accepted: [[{}]] } } }',
      fault: /policies.*: has a name that is not valid; allowed: /,
    },
    { what: 'everyone as a proxy', text: 'trustProxy: 0.0.0.0/0', fault: /trustProxy: is not valid/ },
    {
      what: 'a certificate that is none',
      text: 'tls: { cert: "-----BEGIN X-----\\nAAAA\\n-----END X-----", key: "-----BEGIN X-----\\nAAAA\\n-----END X-----" }',
      fault: /tls: cannot be used; allowed: a certificate chain/,
    },
    {
      what: 'an audience that only parses',
      text: 'bws: { apps: [], audience: " https:b.example.com" }',
      fault: /audience: is not valid; allowed: an absolute/,
    },
    {
      what: 'a control character in a secret',
      text: 'resourceServers: [{ id: a, secret: "plain:a\\tb" }]',
      fault: /secret: is not valid/,
    },
    { what: 'a prototype', text: '__proto__: { polluted: true }', fault: /__proto__: is not a known key/ },
  ]
  test.each(cases)('$what', ({ text, fault }) => {
    expect(faultsOf(loadText(MINIMAL + text)).join('\n')).toMatch(new RegExp(fault.source, 'm'))
  })

  test('a YAML bomb is refused', () => {
    const lines = ['a: &a [x, x, x, x, x, x, x, x, x]']
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'])
      lines.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(', ')}]`)
    expect(faultsOf(loadText(lines.join('\n'))).join()).toMatch(/too many aliases/)
  })

  test.each([
    ['a list', 'bws: &a [*a]', '3:10 bws[0]'],
    ['a map', 'bws: &a { apps: *a }', '3:17 bws.apps'],
    ['a policy', 'nevisfido: { policies: &p { a: *p } }', '3:32 nevisfido.policies.a'],
  ])('%s that holds itself is a fault at the alias', (_what, text, place) => {
    expect(faultsOf(loadText(MINIMAL + text)).join('\n')).toContain(
      `${place}: names what it stands in itself; allowed: `,
    )
  })

  test.each(['!!binary aGVsbG8=', '!!timestamp 2027-01-31'])(
    '%s is one fault, not one for each of its members',
    (tagged) => {
      expect(faultsOf(loadText(`${MINIMAL}bws: ${tagged}`))).toEqual([
        expect.stringMatching(/^3:[0-9]+ bws: has a tag that makes no text of it; allowed: a value without a tag$/),
      ])
    },
  )

  test('a merge key that merges no map is a fault, and said to be one', () => {
    expect(faultsOf(loadText(`%YAML 1.1\n---\n${MINIMAL}bws: { <<: 5 }`))).toEqual([
      '1:1: merges what is no map; allowed: no merge keys (<<)',
    ])
  })

  test('an empty file names what is missing', () => {
    expect(faultsOf(loadText('')).join()).toMatch(/is not valid; allowed: settings/)
  })

  test('keys that have all expired are a fault', () => {
    const text = `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY}, notAfter: 2026-01-01 }]`
    expect(faultsOf(loadText(text))).toEqual([expect.stringMatching(/^2:1 keys: every key has expired/)])
    expect(faultsOf(loadText(text.replace('2026-01-01', '2026-01-03')))).toEqual([])
  })

  test('a key under 32 bytes, padded, or not base64url is refused', () => {
    for (const secret of [KEY.slice(0, 42), `${KEY}=`, `${KEY.slice(0, 42)}+`, '']) {
      const text = `publicUrl: https://t.example.com\nkeys: [{ secret: "${secret}" }]`
      expect(faultsOf(loadText(text)).join()).toMatch(/keys\[0\]\.secret: is not valid; allowed: base64url of 32/)
    }
  })

  test('an unreadable file: is a fault that says so', () => {
    const file = join(folder, 'a-folder')
    mkdirSync(file)
    chmodSync(file, 0o755)
    expect(faultsOf(loadText(`${MINIMAL}tls: { cert: "file:${file}", key: "file:${file}" }`)).join()).toMatch(/EISDIR/)
  })

  test('a key twice does not hide the other faults', () => {
    expect(faultsOf(loadText(`${MINIMAL}store: "sqlite:a"\nstore: "sqlite:b"\nguard: { window: never }`))).toHaveLength(
      2,
    )
  })

  test('an alias does not carry a public secret into production', () => {
    const text = `${MINIMAL}bws: { apps: [{ id: a, client: &p "plain:hello", secret: *p, bcids: "*" }] }`
    expect(faultsOf(loadText(text, { NODE_ENV: 'production' })).join()).toMatch(
      /bws\.apps\[0\]\.secret: is written in plain/,
    )
  })

  test("compose's own key is refused in production", () => {
    const text = 'publicUrl: https://t.example.com\nkeys: [{ secret: bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kby1ub3QtdXNl }]'
    expect(faultsOf(loadText(text, { NODE_ENV: 'production' }))).toEqual([
      expect.stringMatching(/^2:10 keys\[0\]\.secret: is the public/),
    ])
  })

  test('no fault repeats what was configured', () => {
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
    for (const line of odd) expect(faultsOf(loadText(MINIMAL + line)).join('\n')).not.toContain(secret)
    expect(faultsOf(loadText(text.slice(0, -1).join('\n'))).length).toBeGreaterThan(9)
    for (const lines of [text.slice(0, -1), text])
      expect(faultsOf(loadText(lines.join('\n'))).join('\n')).not.toContain(secret)
  })

  test('nor where a broken file makes a key of it', () => {
    const secret = 'hunter2hunter2hunter2'
    for (const text of [
      `keys:\n  [\n    {\n\t      secret: ${secret},\n      id: a\n    },\n    { secret: "b" }\n  ]\nbws: 1`,
      `a: { ${secret}: [b: { ? [c] : d }`,
      `${secret}: { \${x}: "\${NOPE}"`,
    ]) {
      expect(faultsOf(loadText(text)).length).toBeGreaterThan(0)
      expect(faultsOf(loadText(text)).join('\n')).not.toContain(secret)
    }
  })

  test('plain secrets are warnings in development, faults in production', () => {
    const text = `${MINIMAL}resourceServers: [{ id: a, secret: "plain:hello" }]\nidscan: { accounts: [{ username: a, password: "plain:x" }] }`
    const development = loadText(text)
    expect('warnings' in development && development.warnings.map(({ path }) => path)).toEqual([
      'resourceServers[0].secret',
      'idscan.accounts[0].password',
    ])
    const production = faultsOf(loadText(text, { NODE_ENV: 'production' }))
    expect(production).toHaveLength(2)
    for (const fault of production) expect(fault).toMatch(/is written in plain; allowed in production/)
  })

  test('a name that only begins with plain: is no secret', () => {
    const text = `${MINIMAL}bws: { apps: [], issuer: "plain:spoken" }`
    expect(faultsOf(loadText(text, { NODE_ENV: 'production' }))).toEqual([])
  })
})

describe('the environment', () => {
  test('has defaults, and an empty variable counts as absent', () => {
    expect(environmentOf({ PORT: '', HOST: '' })).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 8080,
      LOG_LEVEL: 'info',
      DRAIN_DELAY: 5_000,
      DRAIN_TIMEOUT: 30_000,
    })
  })

  test('is in milliseconds', () => {
    expect(environmentOf({ DRAIN_DELAY: '250ms', DRAIN_TIMEOUT: '1m' })).toMatchObject({
      DRAIN_DELAY: 250,
      DRAIN_TIMEOUT: 60_000,
    })
  })

  test('every fault at once', () => {
    const read = readEnvironment({
      PORT: '65536',
      METRICS_PORT: 'x',
      LOG_LEVEL: 'loud',
      DRAIN_DELAY: '5',
      DRAIN_TIMEOUT: '2h',
    })
    expect(read.issues.map(({ path }) => path)).toEqual([
      'PORT',
      'METRICS_PORT',
      'LOG_LEVEL',
      'DRAIN_DELAY',
      'DRAIN_TIMEOUT',
    ])
  })

  test.each(['prod', 'Production', 'PRODUCTION', 'staging'])(
    'NODE_ENV=%s is a fault: it would be served as what is not production',
    (NODE_ENV) => {
      expect(readEnvironment({ NODE_ENV }).issues).toMatchObject([
        { path: 'NODE_ENV', message: expect.stringMatching(/development, test, production/) },
      ])
    },
  )
})
