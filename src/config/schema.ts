import { z } from 'zod'
import type { SecretSlot } from '../core/crypto/secrets.ts'
import { checkCertificateChain, checkPrivateKey, isUsablePair } from './pem.ts'
import { bws } from './sections/bws.ts'
import { switchable, uniqueList } from './sections/combinators.ts'
import { control } from './sections/control.ts'
import { type secretSlot, signingKey, withSecrets } from './sections/credentials.ts'
import { idscan } from './sections/idscan.ts'
import { nevisfido } from './sections/nevisfido.ts'
import { IN_MEMORY_STORE, STORE_FORMS, storeUrlIssue } from './store-url.ts'
import { absoluteUrl, expected, flag, milliseconds, proxies, seconds, wholeNumber } from './value-schemas.ts'

// The one description of the configuration. docs/configuration.md is generated from it.

const guard = z.strictObject({
  accountFailures: wholeNumber(1, 1_000_000).default(10).meta({
    description:
      'Wrong passwords after which an account is blocked for one address. Ten times as many block it for all addresses.',
  }),
  addressFailures: wholeNumber(1, 1_000_000).default(100).meta({
    description:
      'Wrong secrets of apps, clients and resource servers after which their address is blocked. As many wrong passwords, for any accounts, block it for logins.',
  }),
  window: seconds('1s', '30d')
    .prefault('15m')
    .meta({ description: 'Failures within this time after the first one are counted together.' }),
  block: seconds('1s', '30d')
    .prefault('15m')
    .meta({ description: 'Duration of a block. During a block, correct credentials are rejected too.' }),
})

const overload = z.strictObject({
  eventLoopDelay: milliseconds('10s', '1ms')
    .prefault('1s')
    .meta({ description: 'Mean delay of the event loop above which Trimint rejects requests.' }),
  heap: wholeNumber(1, 100)
    .default(90)
    .meta({ description: 'Use of the heap, in percent of its limit, above which Trimint rejects requests.' }),
})

const store = z
  .string(expected(STORE_FORMS))
  .superRefine((value, context) => {
    const message = storeUrlIssue(value)
    if (message) context.addIssue({ code: 'custom', message })
  })
  .meta({ type: STORE_FORMS })

const PROXIES =
  'true, false, or the proxies: addresses and networks such as 10.0.0.0/8, loopback, linklocal, uniquelocal'

const trustProxy = z
  .union(
    [
      flag,
      proxies,
      z
        .array(proxies)
        .min(1)
        .transform((lists) => lists.flat()),
    ],
    expected(PROXIES),
  )
  .meta({ type: PROXIES })

/** Returns a schema for PEM text. `find` returns why a text is unusable. */
function pem(type: string, find: (text: string) => string | undefined) {
  return z
    .string(expected(`${type}, usually file:/path/to.pem`))
    .superRefine((value, context) => {
      const message = find(value)
      // The pair is not checked after an issue of one of its halves.
      if (message) context.addIssue({ code: 'custom', message, continue: false })
    })
    .meta({ type })
}

const tls = z
  .strictObject({
    cert: pem('a certificate chain in PEM form', checkCertificateChain).meta({
      description: 'Certificate of the server, then the intermediate certificates.',
    }),
    key: pem('a private key in PEM form', checkPrivateKey).meta({
      description: 'Key of the certificate, not encrypted.',
    }),
  })
  .refine(isUsablePair, {
    message: 'unusable pair; expected a certificate chain and the private key of its first certificate',
  })

export const configurationSchema = z
  .strictObject({
    publicUrl: absoluteUrl.meta({
      description: 'URL at which callers reach Trimint. Its origin is the audience of tokens.',
    }),
    store: store.prefault('sqlite:./data/trimint.db').meta({
      description:
        'Store of nevisFIDO tokens, sessions, tries, revocations and failed attempts: see [scaling.md](scaling.md#choose-a-store). A change takes effect at the next start.',
    }),
    keys: uniqueList(signingKey, 'id').min(1, expected('at least one key')).meta({
      description:
        'HS256 keys. The first key that has not expired signs; every key verifies until its `notAfter`. See [keys.md](keys.md).',
    }),
    bws: switchable(bws).meta({ description: "`GET /token`, BioID's contract; `false` switches it off." }),
    idscan: switchable(idscan).meta({
      description: "`POST /idscanenterprisesvc/token`, GBG's contract; `false` switches it off.",
    }),
    nevisfido: switchable(nevisfido).meta({
      description: '`POST /nevisfido/token/…`, the contract of nevisFIDO; `false` switches it off.',
    }),
    resourceServers: uniqueList(withSecrets({}), 'id')
      .default([])
      .meta({ description: 'Clients that may introspect (RFC 7662) and revoke (RFC 7009) tokens.' }),
    guard: z
      .union([z.literal(false), guard])
      .prefault({})
      .meta({ description: 'Protection against guessing of secrets and passwords; `false` switches it off.' }),
    overload: z
      .union([z.literal(false), overload])
      .prefault({})
      .meta({
        description: 'Limits of load above which Trimint rejects requests with 503; `false` switches them off.',
      }),
    docs: flag
      .default(true)
      .meta({ description: 'Whether Trimint serves the API reference at `GET /docs`. It contains no secrets.' }),
    control: control.meta({
      description:
        'The control API below `/_trimint`, for local development: see [development.md](development.md). `true` switches it on with the defaults below. Production rejects it. A change takes effect at the next start.',
    }),
    trustProxy: trustProxy.default(false).meta({ description: 'Proxies whose `X-Forwarded-*` headers are trusted.' }),
    watch: flag.default(false).meta({
      description:
        'Whether Trimint reloads when this file, or a file that it names with `file:`, changes. Otherwise it reloads on SIGHUP only.',
    }),
    tls: tls.optional().meta({ description: 'Certificate for HTTPS. Without it, Trimint serves HTTP.' }),
  })
  .readonly()

/** A configuration as it is written. */
export type ConfigurationInput = z.input<typeof configurationSchema>

/** A checked configuration: defaults filled in, durations in seconds, secrets of machines as digests. */
export type Configuration = z.output<typeof configurationSchema>

/** Returns whether only the process itself can see its store. */
export function isInMemory({ store: url }: Configuration): boolean {
  return url === IN_MEMORY_STORE
}

/** Returns the secrets of an entry, written as `secret` or as `secrets`. */
export function secretSlots(entry: {
  secret?: Uint8Array | undefined
  secrets?: z.output<typeof secretSlot>[] | undefined
}): SecretSlot[] {
  const slots = entry.secret ? [{ secret: entry.secret }] : (entry.secrets ?? [])
  return slots.map(({ secret, notAfter = Number.POSITIVE_INFINITY }: z.output<typeof secretSlot>) => ({
    digest: secret,
    notAfter,
  }))
}

export type ControlConfiguration = Exclude<Configuration['control'], false>
export type BwsConfiguration = Exclude<Configuration['bws'], false>
export type IdscanConfiguration = Exclude<Configuration['idscan'], false>
export type NevisfidoConfiguration = Exclude<Configuration['nevisfido'], false>
