import { isIP } from 'node:net'
import { z } from 'zod'
import { parsePartition } from '../core/bws/bcid.ts'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import { isPasswordHash } from '../core/crypto/passwords.ts'
import { digestSecret } from '../core/crypto/secrets.ts'

// The kinds of value a configuration is made of. Every message has the form "what is wrong; allowed: what is allowed",
// and none repeats the value: it may be a secret, or stand where one belongs.

/** Says what is wrong with a value, and what is allowed in its place. */
export function expected(allowed: string): { error: (issue: { input?: unknown }) => string } {
  return { error: ({ input }) => `${input === undefined ? 'is missing' : 'is not valid'}; allowed: ${allowed}` }
}

export function text(allowed: string, pattern: RegExp): z.ZodString {
  return z.string(expected(allowed)).regex(pattern, expected(allowed))
}

/** Text that is read into something else; `read` answers undefined for what is not allowed. */
function readText<T>(allowed: string, read: (value: string) => T | undefined) {
  return z.string(expected(allowed)).transform((value, context): T => {
    const result = read(value)
    if (result !== undefined) return result
    context.addIssue({ code: 'custom', message: `is not valid; allowed: ${allowed}` })
    return z.NEVER
  })
}

/** A whole number; its digits may come as text, since a `${NAME}` always does. */
export function wholeNumber(minimum: number, maximum: number) {
  const allowed = expected(`a whole number from ${minimum} to ${maximum}`)
  return z.preprocess(
    (value) => (typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value),
    z.int(allowed).min(minimum, allowed).max(maximum, allowed),
  )
}

/** true or false, also as text, since a `${NAME}` always is. */
export const flag = z.preprocess(
  (value) => (value === 'true' ? true : value === 'false' ? false : value),
  z.boolean(expected('true or false')),
)

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function parseDuration(value: string): number | undefined {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(value)
  return match ? Number(match[1]) * UNITS[match[2] as keyof typeof UNITS] : undefined
}

/** A duration such as `10m`, in whole **seconds**. */
export function seconds(minimum: string, maximum: string) {
  const [least = 0, most = 0] = [parseDuration(minimum), parseDuration(maximum)]
  return readText(`a number with s, m, h or d behind it, from ${minimum} to ${maximum}`, (value) => {
    const duration = parseDuration(value)
    const fits = duration !== undefined && duration >= least && duration <= most && duration % 1000 === 0
    return fits ? duration / 1000 : undefined
  })
}

/** A duration such as `5s` or `250ms`, in **milliseconds**. */
export function milliseconds(maximum: string, minimum = '0ms') {
  const [least = 0, most = 0] = [parseDuration(minimum), parseDuration(maximum)]
  return readText(`a number with ms, s, m, h or d behind it, from ${minimum} to ${maximum}`, (value) => {
    const duration = parseDuration(value)
    return duration !== undefined && duration >= least && duration <= most ? duration : undefined
  })
}

/** A moment (ISO 8601), in **milliseconds** since the epoch. */
export const timestamp = readText(
  'a date (2027-01-31) or a date and time with its zone (2027-01-31T12:00:00Z)',
  (value) => {
    const dated = z.iso.date().safeParse(value).success
    const timed = z.iso.datetime({ offset: true }).safeParse(value).success
    return dated || timed ? Date.parse(value) : undefined
  },
)

/** An id as it is sent with HTTP Basic (RFC 7617): no colon, no control characters. */
export const identifier = text(
  '1 to 128 characters, no colon, no control characters',
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  /^[^:\u0000-\u001f\u007f]{1,128}$/u,
)

/** A name that people read: anything but control characters. */
export const label = text(
  '1 to 256 characters, no control characters',
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  /^[^\u0000-\u001f\u007f]{1,256}$/u,
)

function parseUrl(value: string, protocols: readonly string[]): URL | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined
  return url && protocols.includes(url.protocol) ? url : undefined
}

/** An absolute http or https URL without credentials, query and fragment; as it was written. */
export const absoluteUrl = readText(
  'an absolute http or https URL without credentials, query and fragment',
  (value) => {
    const url = /^https?:\/\/[^\s?#]+$/.test(value) ? parseUrl(value, ['http:', 'https:']) : undefined
    return url && !url.username && !url.password ? value : undefined
  },
)

/** An origin as browsers send it: scheme, host and port alone. */
export const origin = readText('an origin such as https://app.example.com, no path, no "*"', (value) =>
  parseUrl(value, ['http:', 'https:'])?.origin === value ? value : undefined,
)

/** Where an issuer's public keys are fetched; as it was written. */
export const jwksUrl = readText('an absolute https URL (http for localhost only)', (value) => {
  const url = parseUrl(value, ['http:', 'https:'])
  const loopback = url && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  return url && (url.protocol === 'https:' || loopback) ? value : undefined
})

/** A base64url HS256 key of 32 bytes or more. */
export const keySecret = readText(
  `base64url of ${MIN_KEY_BYTES} random bytes or more (npm run trimint -- new-key)`,
  (value) => {
    const bytes = Buffer.from(value, 'base64url')
    const isCanonical = bytes.toString('base64url') === value
    return isCanonical && bytes.length >= MIN_KEY_BYTES ? bytes : undefined
  },
)

/** The secret of a machine, kept as its digest only. */
export const machineSecret = readText(
  'sha256: and 64 hexadecimal digits (npm run trimint -- hash-secret); outside production also plain: and the secret',
  (value) => {
    const digest = /^sha256:([0-9a-f]{64})$/i.exec(value)?.[1]
    if (digest) return new Uint8Array(Buffer.from(digest, 'hex'))
    // HTTP Basic carries no control characters, so a secret with one could never be given.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    const plain = /^plain:([^\u0000-\u001f\u007f]+)$/u.exec(value)?.[1]
    return plain === undefined ? undefined : digestSecret(plain)
  },
)

/** A person's password: an argon2id hash that names its own parameters. One that cannot be checked would fail each login. */
export const password = readText(
  'an argon2id hash (npm run trimint -- hash-password); outside production also plain: and the password',
  (value) => (isPasswordHash(value) || /^plain:.+$/su.test(value) ? value : undefined),
)

/** `storage/partition`, either separator. */
export const partition = readText('"*", or a list of storage/partition such as bws/112', parsePartition)

/** PEM text, as `file:` brings it. */
export function pem(what: string) {
  return text(`${what} in PEM form, usually file:/path/to.pem`, /^-----BEGIN [^-]+-----[\s\S]+-----END [^-]+-----\s*$/)
}

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal']

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  const fits = prefix === undefined || (/^[1-9][0-9]{0,2}$/.test(prefix) && Number(prefix) <= bits)
  return NAMED_NETWORKS.includes(text) || (bits > 0 && fits && rest.length === 0)
}

/** Proxies whose `X-Forwarded-For` is believed, with commas between. */
export const proxies = readText('addresses and networks', (value) => {
  const networks = value.split(',').map((network) => network.trim())
  return networks.every(isNetwork) ? networks : undefined
})
