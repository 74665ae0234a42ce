import { isIP } from 'node:net'
import { z } from 'zod'
import { parsePartition } from '../core/bws/bcid.ts'
import { MIN_KEY_BYTES } from '../core/crypto/keyring.ts'
import { isPasswordHash } from '../core/crypto/passwords.ts'
import { digestSecret } from '../core/crypto/secrets.ts'

// The kinds of value a configuration consists of. Every message has the form "what failed; expected what". No message
// repeats the value: it may be a secret, or be in the place of one. `meta.type` is the type that docs/configuration.md
// shows.

interface ErrorText {
  readonly error: (issue: { readonly input?: unknown }) => string
}

/** Returns the error text of a schema whose value is missing, empty or invalid. */
export function expected(allowed: string): ErrorText {
  return { error: ({ input }) => `${describeMismatch(input)}; expected ${allowed}` }
}

function describeMismatch(input: unknown): string {
  if (input === undefined) return 'missing value'
  return input === null ? 'empty value' : 'invalid value'
}

/**
 * Does the same as {@link expected} for text: YAML reads `007` as a number and `true` as a boolean unless they are
 * quoted.
 */
function expectedText(allowed: string): ErrorText {
  return {
    error({ input }) {
      const isUnquoted = typeof input === 'number' || typeof input === 'boolean'
      if (!isUnquoted) return expected(allowed).error({ input })
      return `${typeof input} instead of text; expected ${allowed}: put quotes around the value`
    },
  }
}

/** Returns a schema for text that matches a pattern. */
export function text(allowed: string, pattern: RegExp): z.ZodString {
  return z.string(expectedText(allowed)).regex(pattern, expected(allowed)).meta({ type: allowed })
}

/** Returns a schema for text that is converted; `read` returns undefined for invalid text. */
function readText<T>(allowed: string, read: (value: string) => T | undefined) {
  return z
    .string(expectedText(allowed))
    .transform((value, context): T => {
      const result = read(value)
      if (result !== undefined) return result
      context.addIssue({ code: 'custom', message: expected(allowed).error({ input: value }) })
      return z.NEVER
    })
    .meta({ type: allowed })
}

/** Returns a schema for a whole number. Digits in text are accepted: a `${NAME}` is always text. */
export function wholeNumber(minimum: number, maximum: number) {
  const allowed = `a whole number from ${minimum} to ${maximum}`
  return z
    .preprocess(
      (value) => (typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value),
      z.int(expected(allowed)).min(minimum, expected(allowed)).max(maximum, expected(allowed)),
    )
    .meta({ type: allowed })
}

/** Accepts true or false, also as text: a `${NAME}` is always text. */
export const flag = z
  .preprocess(
    (value) => (value === 'true' ? true : value === 'false' ? false : value),
    z.boolean(expected('true or false')),
  )
  .meta({ type: 'true or false' })

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Returns the milliseconds of a duration such as `10m`, or undefined for other text. */
export function parseDuration(value: string): number | undefined {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(value)
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined
}

/** Returns a schema for a duration such as `10m`, converted to whole **seconds**. */
export function seconds(minimum: string, maximum: string) {
  const [minimumMs = 0, maximumMs = 0] = [parseDuration(minimum), parseDuration(maximum)]
  return readText(`a duration in s, m, h or d, from ${minimum} to ${maximum}`, (value) => {
    const durationMs = parseDuration(value)
    const fits =
      durationMs !== undefined && durationMs >= minimumMs && durationMs <= maximumMs && durationMs % 1000 === 0
    return fits ? durationMs / 1000 : undefined
  })
}

/** Returns a schema for a duration such as `5s` or `250ms`, converted to **milliseconds**. */
export function milliseconds(maximum: string, minimum = '0ms') {
  const [minimumMs = 0, maximumMs = 0] = [parseDuration(minimum), parseDuration(maximum)]
  return readText(`a duration in ms, s, m, h or d, from ${minimum} to ${maximum}`, (value) => {
    const durationMs = parseDuration(value)
    return durationMs !== undefined && durationMs >= minimumMs && durationMs <= maximumMs ? durationMs : undefined
  })
}

/** Accepts an ISO 8601 date or time, converted to **milliseconds** since the epoch. */
export const timestamp = readText(
  'a date (2027-01-31) or a date and time with its zone (2027-01-31T12:00:00Z)',
  (value) => {
    const isDate = z.iso.date().safeParse(value).success
    const isDateTime = z.iso.datetime({ offset: true }).safeParse(value).success
    return isDate || isDateTime ? Date.parse(value) : undefined
  },
)

/** Accepts an id that HTTP Basic can carry (RFC 7617): no colon, no control characters. */
export const identifier = text(
  '1 to 128 characters, no colon, no control characters',
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are rejected
  /^[^:\u0000-\u001f\u007f]{1,128}$/u,
)

/** Accepts a name that people read: anything but control characters. */
export const label = text(
  '1 to 256 characters, no control characters',
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are rejected
  /^[^\u0000-\u001f\u007f]{1,256}$/u,
)

const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]']

function parseHttpUrl(value: string): URL | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined
  return url && ['http:', 'https:'].includes(url.protocol) ? url : undefined
}

/** Browsers and FIDO clients treat only these as secure. */
function isSecure(url: URL): boolean {
  return url.protocol === 'https:' || LOOPBACK_HOSTS.includes(url.hostname)
}

function parseAbsoluteUrl(value: string): URL | undefined {
  const url = /^https?:\/\/[^\s?#]+$/.test(value) ? parseHttpUrl(value) : undefined
  return url && !hasCredentials(url) ? url : undefined
}

function hasCredentials({ username, password }: URL): boolean {
  return username !== '' || password !== ''
}

/** Accepts an absolute http or https URL without credentials, query and fragment; keeps it as written. */
export const absoluteUrl = readText('an absolute http or https URL without credentials, query and fragment', (value) =>
  parseAbsoluteUrl(value) ? value : undefined,
)

/**
 * In characters (FIDO UAF 1.1 protocol, section 3.1.2). Clients reject other schemes (AppID and Facet Specification).
 */
const MAX_APP_ID_LENGTH = 512

/** Accepts a FIDO AppID; keeps it as written. */
export const appId = readText(
  `an https URL (http for localhost only) of at most ${MAX_APP_ID_LENGTH} characters, without credentials, query and fragment`,
  (value) => {
    const url = parseAbsoluteUrl(value)
    return url && isSecure(url) && value.length <= MAX_APP_ID_LENGTH ? value : undefined
  },
)

/** Accepts an origin as browsers send it: scheme, host and port. */
export const origin = readText('an origin such as https://app.example.com, no path, no wildcard (*)', (value) => {
  const url = parseHttpUrl(value)
  return url?.origin === value && !url.hostname.includes('*') ? value : undefined
})

/** Accepts the URL of an issuer's public keys; keeps it as written. `fetch` would put credentials into its error. */
export const jwksUrl = readText('an absolute https URL without credentials (http for localhost only)', (value) => {
  const url = parseHttpUrl(value)
  return url && isSecure(url) && !hasCredentials(url) ? value : undefined
})

/** Accepts an HS256 key in base64url and returns its bytes. */
export const keySecret = readText(
  `base64url of ${MIN_KEY_BYTES} random bytes or more (npm run trimint -- new-key)`,
  (value) => {
    const bytes = Buffer.from(value, 'base64url')
    const isCanonical = bytes.toString('base64url') === value
    return isCanonical && bytes.length >= MIN_KEY_BYTES ? bytes : undefined
  },
)

/** Accepts the secret of an app, client or resource server and returns its digest. */
export const machineSecret = readText(
  'sha256: and 64 hexadecimal digits (npm run trimint -- hash-secret); outside production also plain: and the secret',
  (value) => {
    const digest = /^sha256:([0-9a-f]{64})$/i.exec(value)?.[1]
    if (digest) return new Uint8Array(Buffer.from(digest, 'hex'))
    // HTTP Basic cannot carry control characters (RFC 7617).
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are rejected
    const plain = /^plain:([^\u0000-\u001f\u007f]+)$/u.exec(value)?.[1]
    return plain === undefined ? undefined : digestSecret(plain)
  },
)

/** Accepts a person's password: an argon2id hash that names its parameters. An unusable hash would fail every login. */
export const password = readText(
  'an argon2id hash (npm run trimint -- hash-password); outside production also plain: and the password',
  (value) => (isPasswordHash(value) || /^plain:.+$/su.test(value) ? value : undefined),
)

/** Accepts `storage/partition`, with either separator. */
export const partition = readText('storage/partition such as bws/112', parsePartition)

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal']

function isNetwork(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/')
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  const fits = prefix === undefined || (/^[1-9][0-9]{0,2}$/.test(prefix) && Number(prefix) <= bits)
  return NAMED_NETWORKS.includes(value) || (bits > 0 && fits && rest.length === 0)
}

/** Accepts proxies whose `X-Forwarded-For` is trusted, separated by commas. */
export const proxies = readText('addresses and networks', (value) => {
  const networks = value.split(',').map((network) => network.trim())
  return networks.every(isNetwork) ? networks : undefined
})
