import { createSecureContext } from 'node:tls'
import { z } from 'zod'
import { BWS_TASKS } from '../core/bws/task.ts'
import type { SecretSlot } from '../core/crypto/secrets.ts'
import { FIDO_OPERATIONS } from '../core/fido/operation.ts'
import { IDSCAN_AREAS } from '../core/idscan/account.ts'
import {
  absoluteUrl,
  expected,
  flag,
  identifier,
  jwksUrl,
  keySecret,
  label,
  machineSecret,
  milliseconds,
  origin,
  partition,
  password,
  pem,
  proxies,
  seconds,
  text,
  timestamp,
  wholeNumber,
} from './value-schemas.ts'

// The one description of the configuration file. What a setting means to its user stands in trimint.example.yaml.

/** Runs also where other parts are faulty, so that one look finds every fault. */
const always = { when: () => true }

type Named = Readonly<Record<string, unknown>>

/** A list in which no two entries share a field. */
function uniqueList<Entry extends z.ZodType>(entry: Entry, field: string, fold = (value: unknown): unknown => value) {
  return z.array(entry, expected('a list')).superRefine((entries, context) => {
    if (!Array.isArray(entries)) return
    const seen = new Set<unknown>()
    for (const [index, candidate] of entries.entries()) {
      const value = fold((candidate as Named | null)?.[field])
      if (value !== undefined && seen.has(value)) {
        context.addIssue({ code: 'custom', path: [index, field], message: 'stands here twice; allowed: each once' })
      }
      seen.add(value)
    }
  }, always)
}

function oneOf<const Values extends readonly [string, ...string[]]>(...values: Values) {
  return z.enum(values, expected(values.join(', ')))
}

/** A contract is switched off with `false`, or by leaving its section out. */
function switchable<Section extends z.ZodType>(section: Section) {
  return z.union([z.literal(false), section]).default(false)
}

/** Everyone, or those named. */
function wildcardOr<Entry extends z.ZodType>(entry: Entry, allowed: string) {
  return z.union([z.literal('*'), z.array(entry)], expected(allowed))
}

const secretSlot = z.strictObject({ secret: machineSecret, notAfter: timestamp.optional() })

/** The secrets of an app, a client or a resource server: one, or several that are valid at once. */
const credentials = {
  id: identifier,
  secret: machineSecret.optional(),
  secrets: z.array(secretSlot, expected('a list')).min(1, expected('at least one')).optional(),
}

function withSlots<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject({ ...credentials, ...shape }).superRefine((value, context) => {
    const { secret, secrets } = (value ?? {}) as Named
    if ((secret === undefined) === (secrets === undefined)) {
      const message = secret === undefined ? 'has no secret' : 'has both secret and secrets'
      context.addIssue({ code: 'custom', message: `${message}; allowed: either secret, or a list of secrets` })
    }
  }, always)
}

const key = z.strictObject({
  secret: keySecret,
  id: identifier.optional(),
  created: timestamp.optional(),
  notAfter: timestamp.optional(),
})

const challengeClaim = oneOf('array', 'string')
const tokenLifetime = seconds('1s', '366d')

const bws = z.strictObject({
  issuer: label.default('BWS'),
  audience: absoluteUrl.optional(),
  lifetime: tokenLifetime.default(600),
  challengeClaim: challengeClaim.default('array'),
  apps: uniqueList(
    withSlots({
      client: label.optional(),
      bcids: wildcardOr(partition, '"*", or a list of storage/partition such as bws/112'),
      tasks: z
        .array(oneOf(...BWS_TASKS))
        .min(1, expected('at least one'))
        .default([...BWS_TASKS]),
      lifetime: tokenLifetime.optional(),
      challengeClaim: challengeClaim.optional(),
    }),
    'id',
  ),
})

const account = z.strictObject({
  username: label,
  password,
  fullName: label.optional(),
  role: label.optional(),
  areas: z.array(oneOf(...IDSCAN_AREAS)).default([]),
  memberOf: z.array(label).default([]),
  tenant: label.optional(),
  branchCode: label.optional(),
  disabled: flag.default(false),
})

const idscan = z
  .strictObject({
    lifetime: tokenLifetime.default(36_000),
    idleTimeout: seconds('1m', '366d').default(900),
    enforceIdleTimeout: flag.default(false),
    requireArea: flag.default(false),
    usernameCase: oneOf('sensitive', 'insensitive').default('sensitive'),
    corsOrigins: z.array(origin).default([]),
    accounts: uniqueList(account, 'username'),
  })
  .superRefine((section, context) => {
    if (section?.usernameCase !== 'insensitive' || !Array.isArray(section.accounts)) return
    const folded = uniqueList(z.unknown(), 'username', (name) => (typeof name === 'string' ? name.toLowerCase() : name))
    for (const issue of folded.safeParse(section.accounts).error?.issues ?? []) {
      const message = 'differs from another only in case; allowed: each once, since usernameCase is insensitive'
      context.addIssue({ code: 'custom', path: ['accounts', ...issue.path], message })
    }
  }, always)

/** FIDO UAF 1.1 protocol, section 3.1.5: MatchCriteria. */
const matchCriteria = z.strictObject({
  aaid: z.array(z.string()).optional(),
  vendorID: z.array(z.string()).optional(),
  keyIDs: z.array(z.string()).optional(),
  userVerification: z.int().optional(),
  keyProtection: z.int().optional(),
  matcherProtection: z.int().optional(),
  attachmentHint: z.int().optional(),
  tcDisplay: z.int().optional(),
  authenticationAlgorithms: z.array(z.int()).optional(),
  assertionSchemes: z.array(z.string()).optional(),
  attestationTypes: z.array(z.int()).optional(),
  authenticatorVersion: z.int().optional(),
})

/** FIDO UAF 1.1 protocol, section 3.1.6: Policy. */
const policy = z.strictObject({
  accepted: z.array(z.array(matchCriteria).min(1)).min(1),
  disallowed: z.array(matchCriteria).optional(),
})

const bearer = z
  .strictObject({
    issuer: label,
    audience: label,
    jwksUrl: jwksUrl.optional(),
    jwks: z.strictObject({ keys: z.array(z.looseObject({ kty: oneOf('RSA', 'EC', 'OKP') })).min(1) }).optional(),
  })
  .refine(({ jwks, jwksUrl }) => (jwks === undefined) !== (jwksUrl === undefined), {
    message: 'needs the keys of the issuer; allowed: either jwksUrl or jwks',
  })

const users = wildcardOr(text('1 to 128 characters', /^.{1,128}$/su), '"*", or a list of user names')
const operation = oneOf(...FIDO_OPERATIONS)
const fidoLifetime = seconds('1s', '1d')
/** Not longer than a record is kept after its expiry, or a status would be forgotten before it is final. */
const responseLifetime = seconds('1s', '1h')

const nevisfido = z.strictObject({
  appId: absoluteUrl,
  negotiation: oneOf('strict', 'lenient').default('strict'),
  protect: z.array(operation).default(['registration', 'deregistration']),
  tokenLifetime: fidoLifetime.default(300),
  responseLifetime: z
    .strictObject({
      registration: responseLifetime.default(300),
      authentication: responseLifetime.default(120),
      deregistration: responseLifetime.default(120),
    })
    .prefault({}),
  clients: uniqueList(withSlots({ users }), 'id').default([]),
  bearer: bearer.optional(),
  users,
  policies: z.record(label, policy).optional(),
})

const guard = z.strictObject({
  accountFailures: wholeNumber(1, 1_000_000).default(10),
  addressFailures: wholeNumber(1, 1_000_000).default(100),
  window: seconds('1s', '30d').default(900),
  block: seconds('1s', '30d').default(900),
})

const overload = z.strictObject({
  eventLoopDelay: milliseconds('10s', '1ms').default(1_000),
  /** Percent of what the runtime may have. */
  heap: wholeNumber(1, 100).default(90),
})

/** What `store` may be: an embedded file, or a Redis. */
const store = text(
  'sqlite:path, "sqlite::memory:", redis://host:6379/0 or rediss://host:6379/0',
  /^(sqlite:.+|rediss?:\/\/[^\s/]+(\/[0-9]*)?)$/u,
)

const trustProxy = z.union(
  [
    flag,
    proxies,
    z
      .array(proxies)
      .min(1)
      .transform((lists) => lists.flat()),
  ],
  expected('true, false, or the proxies: addresses and networks such as 10.0.0.0/8, loopback, linklocal, uniquelocal'),
)

const tls = z.strictObject({ cert: pem('a certificate chain'), key: pem('a private key') }).refine(isUsablePair, {
  message: 'cannot be used; allowed: a certificate chain and the private key that belongs to it',
})

function isUsablePair(pair: { cert: string; key: string }): boolean {
  // What is no PEM has a fault of its own.
  if (!pair.cert.startsWith('-----') || !pair.key.startsWith('-----')) return true
  try {
    createSecureContext(pair)
    return true
  } catch {
    return false
  }
}

export const configurationSchema = z
  .strictObject({
    publicUrl: absoluteUrl,
    store: store.default('sqlite:./data/trimint.db'),
    keys: uniqueList(key, 'id').min(1, expected('at least one key')),
    bws: switchable(bws),
    idscan: switchable(idscan),
    nevisfido: switchable(nevisfido),
    resourceServers: uniqueList(withSlots({}), 'id').default([]),
    guard: z.union([z.literal(false), guard]).prefault({}),
    overload: z.union([z.literal(false), overload]).prefault({}),
    docs: flag.default(true),
    trustProxy: trustProxy.default(false),
    tls: tls.optional(),
  })
  .readonly()

/** What a configuration file is written as. */
export type ConfigurationInput = z.input<typeof configurationSchema>

/** A checked configuration: every default in place, durations in seconds, machines' secrets as digests. */
export type Configuration = z.output<typeof configurationSchema>

/** Whether nobody but the process itself can see its store. */
export function isInMemory({ store }: Configuration): boolean {
  return store === 'sqlite::memory:'
}

/** The secrets of an entry, whichever way they were written. */
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

export type OverloadConfiguration = Exclude<Configuration['overload'], false>
export type BwsConfiguration = Exclude<Configuration['bws'], false>
export type IdscanConfiguration = Exclude<Configuration['idscan'], false>
export type NevisfidoConfiguration = Exclude<Configuration['nevisfido'], false>
