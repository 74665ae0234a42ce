import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { decodeQR } from 'qr/decode.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { createToken, OPEN } from '../../support/nevisfido.ts'
import { KEY, type Service, startService } from '../../support/service.ts'
import { createFrozenClock } from '../../support/time.ts'

const TOKEN = 'd1d1a1a1-0000-4000-8000-000000000001'
const folder = mkdtempSync(join(tmpdir(), 'trimint-qr-'))
afterAll(() => rmSync(folder, { recursive: true }))

const store = `sqlite:${join(folder, 'trimint.db')}`
const TRIMINT_CONFIG = join(folder, 'trimint.yaml')
writeFileSync(
  TRIMINT_CONFIG,
  `publicUrl: https://tokens.example.com\nstore: "${store}"\nkeys: [{ secret: ${KEY} }]\nnevisfido: { appId: "${OPEN.appId}", users: "*" }`,
)
const variables = { TRIMINT_CONFIG }

/** Reads the code that a terminal shows: `█` is two light modules, one above the other. */
function scanText(out: string): string {
  const lines = out.split('\n').filter((line) => line.includes('█'))
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of colours begin with one.
  const rows = lines.map((line) => [...line.replaceAll(/\u001b\[[\d;]*m/g, '')])
  const upper = (character: string) => character === '█' || character === '▀'
  const lower = (character: string) => character === '█' || character === '▄'
  return scan(rows.flatMap((row) => [row.map(upper), row.map(lower)]))
}

/** Reads a code from rows of light (true) and dark pixels. */
function scan(rows: readonly (readonly boolean[])[]): string {
  const factor = 4
  const width = (rows[0]?.length ?? 0) * factor
  const data = Uint8Array.from(
    rows.flatMap((row) => {
      const line = row.flatMap((isLight) => Array.from({ length: factor }, () => (isLight ? 255 : 0)))
      return Array.from({ length: factor }, () => line.flatMap((value) => [value, value, value, 255])).flat()
    }),
  )
  return decodeQR({ width, height: rows.length * factor, data })
}

const decodePayload = (payload: string) => JSON.parse(Buffer.from(payload, 'base64url').toString())

const payloadFor = (operation: string, origin: string) => ({
  nma_data: { token: TOKEN, redeem_url: `${origin}/nevisfido/token/redeem/${operation}` },
  nma_data_content_type: 'application/json',
  nma_data_version: '1',
})

describe('trimint qr', () => {
  test('prints a code that reads as its payload, and the payload, in at most 80 columns', async () => {
    const { code, out } = await runTrimint(`qr ${TOKEN} --operation authentication`, { variables })
    expect(code).toBe(0)
    const payload = out.trimEnd().split('\n').at(-1) ?? ''
    expect(payload).toMatch(/^[\w-]+$/)
    expect(decodePayload(payload)).toEqual(payloadFor('authentication', 'https://tokens.example.com'))
    expect(scanText(out)).toBe(payload)
    for (const line of out.split('\n').filter((text) => text.includes('█'))) expect(line.length).toBeLessThan(80 + 12)
  })

  test('takes the URL of --url, and reads the token from standard input', async () => {
    const { out } = await runTrimint('qr --operation registration --url http://192.0.2.1:8080', {
      variables,
      input: `${TOKEN}\n`,
    })
    expect(decodePayload(scanText(out))).toEqual(payloadFor('registration', 'http://192.0.2.1:8080'))
  })

  test.each(['https://app.example.com/start?lang=de', 'myapp://auth'])(
    'puts the payload into the link %s',
    async (base) => {
      const { out } = await runTrimint(['qr', TOKEN, '--operation', 'registration', '--link', base], { variables })
      const link = new URL(scanText(out))
      expect(link.href.startsWith(base)).toBe(true)
      expect(decodePayload(link.searchParams.get('dispatchTokenResponse') ?? '')).toMatchObject({
        nma_data: { token: TOKEN },
      })
    },
  )

  test('writes the code as a PNG image', async () => {
    const file = join(folder, 'code.png')
    const { code, out } = await runTrimint(['qr', TOKEN, '--operation', 'registration', '--png', file], { variables })
    expect({ code, lines: out.trimEnd().split('\n').length }).toEqual({ code: 0, lines: 1 })
    const image = readFileSync(file)
    expect(image.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a')
    const width = image.readUInt32BE(16)
    const lineBytes = 1 + Math.ceil(width / 8)
    const start = image.indexOf('IDAT')
    const pixels = inflateSync(image.subarray(start + 4, start + 4 + image.readUInt32BE(start - 4)))
    const rows = Array.from({ length: width }, (_line, y) =>
      Array.from(
        { length: width },
        (_pixel, x) => ((pixels[y * lineBytes + 1 + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) !== 0,
      ),
    )
    expect(scan(rows.filter((_row, y) => y % 4 === 0).map((row) => row.filter((_pixel, x) => x % 4 === 0)))).toBe(
      out.trim(),
    )
  })

  test.each([
    { words: `qr ${TOKEN} --operation nothing`, code: 2, err: /Allowed choices are registration/ },
    { words: `qr ${TOKEN} --url nowhere`, code: 2, err: /not a URL/ },
    {
      words: `qr ${TOKEN} --operation registration --png ${folder}/missing/code.png`,
      code: 1,
      err: /cannot be written \(ENOENT\)/,
    },
  ])('"$words" ends with $code', async ({ words, code, err }) => {
    expect(await runTrimint(words, { variables })).toMatchObject({ code, out: '', err: expect.stringMatching(err) })
  })
})

describe('with the store of a server', () => {
  const clock = createFrozenClock()
  let service: Service
  let close: () => Promise<void>
  beforeAll(async () => {
    const stores = await openStores(store, {})
    service = await startService({ clock, stores, configuration: { nevisfido: OPEN } })
    close = async () => {
      await service.close()
      await stores.close()
    }
  })
  afterAll(() => close?.())

  test.each(['registration', 'authentication', 'deregistration'] as const)(
    'looks up that a token is for %s',
    async (operation) => {
      const { token } = await createToken(service, operation)
      const { out } = await runTrimint(['qr', token], { variables, now: clock() })
      expect(decodePayload(scanText(out))).toMatchObject({
        nma_data: { token, redeem_url: `https://tokens.example.com/nevisfido/token/redeem/${operation}` },
      })
    },
  )

  test('fails for an unknown token', async () => {
    expect(await runTrimint(['qr', TOKEN], { variables, now: clock() })).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^unknown token; expected/),
    })
  })
})
