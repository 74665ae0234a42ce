import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { verify } from '@node-rs/argon2'
import { afterAll, describe, expect, test } from 'vitest'
import packageJson from '../../../package.json' with { type: 'json' }
import { readServeOptions } from '../../../src/cli/serve-options.ts'
import { signJws } from '../../../src/core/crypto/jws.ts'
import { createKey } from '../../../src/core/crypto/keyring.ts'
import { cert, key } from '../../support/certificate.ts'
import { type Given, runTrimint } from '../../support/command.ts'
import { KEY, startService } from '../../support/service.ts'
import { FROZEN_TIME } from '../../support/time.ts'

const folder = mkdtempSync(join(tmpdir(), 'trimint-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

function writeConfiguration(text: string): string {
  const file = join(folder, `${Math.random()}.yaml`)
  writeFileSync(file, text)
  return file
}

const GOOD = writeConfiguration(
  `publicUrl: https://t.example.com\nstore: redis://:hunter2@localhost:6379/0\nkeys: [{ secret: ${KEY} }]\nbws: { apps: [] }\nresourceServers: [{ id: a, secret: "plain:x" }]`,
)

const run = (words: string, { variables, ...given }: Given = {}) =>
  runTrimint(words, { variables: { TRIMINT_CONFIG: GOOD, ...variables }, ...given })

describe('usage', () => {
  test('--help lists every command', async () => {
    const { code, out } = await run('--help')
    expect(code).toBe(0)
    for (const name of ['new-key', 'hash-secret', 'hash-password', 'check-config', 'decode', 'healthcheck', 'keys']) {
      expect(out).toContain(name)
    }
  })

  test.each(['nonsense', 'new-key --nope', 'decode a b', 'decode --verfy x'])(
    '"%s" is a usage error: exit code 2',
    async (words) => {
      const { code, out, err } = await run(words)
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).toMatch(/^error: .*\n(.*\n)?.*--help/)
    },
  )

  test('suggests a command for a misspelled one', async () => {
    expect((await run('new-kye')).err).toMatch(/Did you mean new-key\?/)
  })

  test.each(['--config', '--confg a.yaml', '--config a.yaml check-config', 'serve now'])(
    'reports the usage error of `serve` in "%s"',
    async (words) => {
      expect(readServeOptions(words.split(' '))).toBeUndefined()
      expect(await run(words)).toMatchObject({ code: 2, err: expect.stringMatching(/^error: .*--help/s) })
    },
  )

  test.each([
    ['', {}],
    ['serve', {}],
    ['--config a.yaml --port 0', { TRIMINT_CONFIG: 'a.yaml', PORT: '0' }],
    ['serve --host=::1', { HOST: '::1' }],
  ])('serves for "%s", with options in place of variables', async (words, variables) => {
    const list = words.split(' ').filter(Boolean)
    expect(readServeOptions(list)).toEqual(variables)
    const served: unknown[] = []
    const outcome = await runTrimint(list, { serve: async (given) => void served.push(given) })
    expect([outcome.code, served]).toEqual([0, [variables]])
  })

  test('prints its version, and its help with the command `serve`', async () => {
    expect(await run('--version')).toMatchObject({ code: 0, out: `${packageJson.version}\n` })
    expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('serve') })
  })
})

describe('new-key', () => {
  test('prints 32 random bytes as base64url', async () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, index) => index)
    expect(await run('new-key')).toEqual({ code: 0, out: `${Buffer.from(bytes).toString('base64url')}\n`, err: '' })
  })
})

describe('hash-secret', () => {
  test('prints a random secret and its digest', async () => {
    const { code, out } = await run('hash-secret')
    expect(code).toBe(0)
    expect(out).toMatch(/^secret: [A-Za-z0-9_-]{43}\ndigest: sha256:[0-9a-f]{64}\n$/)
  })

  test('--stdin prints the digest of an existing secret, and not the secret', async () => {
    const digest = 'sha256:cd577fe2561ebff23505db0bb006300c7cdecbd46bc0e03c449afafaca2c25bf'
    expect(await run('hash-secret --stdin', { input: 'demo-secret\n' })).toEqual({
      code: 0,
      out: `digest: ${digest}\n`,
      err: '',
    })
  })

  test('rejects an empty input', async () => {
    expect(await run('hash-secret --stdin')).toMatchObject({ code: 1, err: 'the secret is empty\n' })
  })
})

describe('hash-password', () => {
  test('prints the argon2id hash of standard input', async () => {
    const { code, out } = await run('hash-password', { input: 'päss wörd \r\n' })
    expect(code).toBe(0)
    expect(await verify(out.trim(), 'päss wörd ')).toBe(true)
  })

  test('rejects invalid UTF-8 on standard input, which would become part of the password', async () => {
    const input = Object.assign(new PassThrough(), { isTTY: false })
    input.end(Buffer.from([0x70, 0xe4, 0x0a]))
    expect(await run('hash-password', { input })).toEqual({
      code: 1,
      out: '',
      err: 'invalid UTF-8 in line 1 of standard input; expected text in UTF-8\n',
    })
  })

  test('rejects an empty input', async () => {
    expect(await run('hash-password', { input: '\n' })).toMatchObject({
      code: 1,
      out: '',
      err: 'the password is empty\n',
    })
  })

  /** A terminal on which someone types. */
  function terminal(...keys: string[]) {
    const modes: boolean[] = []
    const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => modes.push(on) })
    for (const key of keys) stdin.write(key)
    return { stdin, modes }
  }

  test('asks on a terminal without showing what is typed, and handles backspace', async () => {
    const { stdin, modes } = terminal('p', 'x', '\u007f', 'w', '\r')
    const { code, out, err } = await run('hash-password', { input: stdin })
    expect({ code, err, modes }).toEqual({ code: 0, err: 'Password: \n', modes: [true, false] })
    expect(await verify(out.trim(), 'pw')).toBe(true)
  })

  test('reads a character whose bytes arrive in two parts, and removes all of its bytes at backspace', async () => {
    const { stdin } = terminal('ä')
    stdin.write(Buffer.from([0xc3]))
    stdin.write(Buffer.from([0xb6]))
    for (const key of ['€', '\u007f', '\r']) stdin.write(key)
    const { out } = await run('hash-password', { input: stdin })
    expect(await verify(out.trim(), 'äö')).toBe(true)
  })

  test('ends at Ctrl-C and restores the terminal', async () => {
    const { stdin, modes } = terminal('p', '\u0003')
    expect(await run('hash-password', { input: stdin })).toMatchObject({ code: 1, err: 'Password: \naborted\n' })
    expect(modes).toEqual([true, false])
  })
})

describe('check-config', () => {
  test('prints a summary of a valid file and its warnings, without passwords', async () => {
    const { code, out, err } = await run('check-config')
    expect(code).toBe(0)
    expect(out).toContain(`${GOOD}: good\n  keys: 1\n  bws: 0 apps\n  idscan: off\n`)
    expect(out).toContain('store: redis://…@localhost:6379/0')
    expect(out).not.toContain('hunter2')
    expect(err).toMatch(/^warning: .*:5:\d+ resourceServers\[0\]\.secret: plain secret/)
  })

  test('prints every issue of an invalid file, exit code 1', async () => {
    const file = writeConfiguration('publicUrl: x\nkeyz: []')
    const { code, out, err } = await run(`check-config ${file}`)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err.trim().split('\n')).toHaveLength(3)
    expect(err).toContain(`${file}:2:1 keyz: unknown key, did you mean keys?`)
  })

  test('does not print a password that contains an @', async () => {
    const file = writeConfiguration(
      `publicUrl: https://t.example.com\nstore: "redis://u:p@hunter2@host:6379/0"\nkeys: [{ secret: ${KEY} }]`,
    )
    const { out } = await run(`check-config ${file}`)
    expect(out).toContain('store: redis://…@host:6379/0')
    expect(out).not.toContain('hunter2')
  })

  test('reports a missing file and writes nothing', async () => {
    const before = process.cwd()
    process.chdir(folder)
    const outcome = await run('check-config', { variables: { TRIMINT_CONFIG: '' } })
    process.chdir(before)
    expect(outcome).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no configuration file and no key of the demo/),
    })
    expect(existsSync(join(folder, 'data'))).toBe(false)
  })

  test('reports an invalid environment', async () => {
    expect(await run('check-config', { variables: { PORT: 'x' } })).toMatchObject({
      code: 1,
      err: expect.stringContaining('PORT'),
    })
  })
})

describe('decode', () => {
  const seconds = Math.floor(FROZEN_TIME / 1000)
  const signer = createKey('', Buffer.from(KEY, 'base64url'))
  const claims = { tokenid: 'x', traits: 5, task: 773, exp: seconds + 600, nbf: seconds }
  const token = signJws(claims, signer)

  test('prints claims and the meaning of bits without a key', async () => {
    const { code, out, err } = await run(`decode ${token}`, { variables: { TRIMINT_CONFIG: '/nowhere' } })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(JSON.parse(out)).toEqual({
      header: { alg: 'HS256', typ: 'JWT' },
      claims,
      meaning: {
        task: 'verify',
        maxtries: 5,
        livedetection: true,
        challenge: true,
        autoenroll: false,
        traits: ['Face', 'Voice'],
        notBefore: '2026-01-02T03:04:05.000Z',
        expires: '2026-01-02T03:14:05.000Z',
      },
    })
  })

  test('reads standard input if no token is given', async () => {
    expect(await run('decode', { input: `${token}\n` })).toMatchObject({ code: 0 })
  })

  test('prints claims that it does not know unchanged', async () => {
    const { code, out } = await run(`decode ${signJws({ task: 0, exp: 1e300, traits: 'x' }, signer)}`)
    expect(code).toBe(0)
    expect(JSON.parse(out).meaning).toEqual({ task: 'unknown', expires: null })
  })

  test('rejects text that is not a token', async () => {
    expect(await run('decode abc')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('not a signed token'),
    })
  })

  const verdicts: [what: string, text: string, at: number, code: number, says: string][] = [
    ['valid', token, FROZEN_TIME, 0, 'token is valid now'],
    ['expired', token, FROZEN_TIME + 600_000, 1, 'has expired'],
    ['early', token, FROZEN_TIME - 1_000, 1, 'not valid yet'],
    ['altered', `${token.slice(0, -2)}AA`, FROZEN_TIME, 1, 'invalid signature'],
    ['foreign', signJws(claims, createKey('', new Uint8Array(32))), FROZEN_TIME, 1, 'invalid signature'],
  ]
  test.each(verdicts)('--verify judges a token that is %s', async (_what, text, now, code, says) => {
    const outcome = await run(`decode --verify ${text}`, { now })
    expect(outcome).toMatchObject({ code, err: expect.stringContaining(says) })
    expect(JSON.parse(outcome.out)).toHaveProperty('claims')
  })

  test('--verify does not use an expired key', async () => {
    const other = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'
    const text = `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY}, notAfter: 2026-01-01 }, { secret: ${other} }]`
    const variables = { TRIMINT_CONFIG: writeConfiguration(text) }
    expect(await run(`decode --verify ${token}`, { variables })).toMatchObject({
      code: 1,
      err: expect.stringContaining('invalid signature'),
    })
  })

  test('--verify reports an invalid configuration', async () => {
    const variables = { TRIMINT_CONFIG: '/nowhere' }
    expect(await run(`decode --verify ${token}`, { variables })).toMatchObject({
      code: 1,
      err: expect.stringContaining('ENOENT'),
    })
  })
})

describe('healthcheck', () => {
  test('asks the configured address, also if the server listens on a wildcard address', async () => {
    await using service = await startService()
    for (const HOST of ['127.0.0.1', '0.0.0.0', 'localhost']) {
      const outcome = await run('healthcheck', { variables: { HOST, PORT: String(service.port) } })
      expect(outcome).toMatchObject({ code: 0, out: expect.stringMatching(/alive\n$/) })
    }
  })

  test('ends with exit code 1 if no server answers', async () => {
    const outcome = await run('healthcheck', { variables: { PORT: '1' } })
    expect(outcome).toMatchObject({ code: 1, err: expect.stringContaining('http://127.0.0.1:1/healthz: ECONNREFUSED') })
  })

  test('--ready ends with exit code 1 while the server answers but cannot serve', async () => {
    await using service = await startService()
    const variables = { PORT: String(service.port) }
    expect(await run('healthcheck --ready', { variables })).toMatchObject({
      code: 0,
      out: expect.stringMatching(/ready\n$/),
    })
    await using draining = await startService({ drainingMs: 60_000 })
    const unready = { variables: { PORT: String(draining.port) } }
    expect(await run('healthcheck --ready', unready)).toMatchObject({
      code: 1,
      err: expect.stringContaining('/readyz: 503'),
    })
    expect(await run('healthcheck', unready)).toMatchObject({ code: 0 })
  })

  test('asks the running server even if its file has become invalid', async () => {
    await using service = await startService()
    const variables = { TRIMINT_CONFIG: writeConfiguration('nonsense'), PORT: String(service.port) }
    expect(await run('healthcheck', { variables })).toMatchObject({ code: 0 })
  })

  test('uses https with TLS, and accepts a certificate for another name', async () => {
    await using service = await startService({ configuration: { tls: { cert, key } } })
    const indent = (pem: string) => pem.trim().replaceAll('\n', '\n    ')
    const file = writeConfiguration(
      `publicUrl: https://t.example.com\nkeys: [{ secret: ${KEY} }]\ntls:\n  cert: |\n    ${indent(cert)}\n  key: |\n    ${indent(key)}\n`,
    )
    const variables = { TRIMINT_CONFIG: file, PORT: String(service.port) }
    expect(await run('healthcheck', { variables })).toMatchObject({ code: 0, out: expect.stringMatching(/^https:/) })
  })
})
