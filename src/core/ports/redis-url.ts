import { formatServer, type HostAndPort, parseServerList } from './server-list.ts'

/** What a Redis URL says. */
export interface RedisAddress {
  readonly topology: 'single' | 'sentinel' | 'cluster'
  /** The server; all Sentinels; or some servers of a Cluster. */
  readonly servers: readonly HostAndPort[]
  /** The name that Sentinel has for the primary; empty for other topologies. */
  readonly primaryName: string
  readonly user: string
  readonly password: string
  readonly database: number
  /** How many replicas must have a write before it is acknowledged. */
  readonly replicas: number
  readonly hasTls: boolean
  /** Path of the certificates that servers are verified against; undefined for the system's. */
  readonly caPath: string | undefined
}

const FORM = /^redis(s)?(?:\+(sentinel|cluster))?:\/\/(?:([^/?]*)@)?([^@/?]*)(?:\/([^?]*))?(?:\?(.*))?$/

const DEFAULT_PORT = 6_379
const DEFAULT_SENTINEL_PORT = 26_379

/** Tells whether a text names a Redis, with or without mistakes. */
export function isRedisUrl(text: string): boolean {
  return /^rediss?(\+(sentinel|cluster))?:\/\//.test(text)
}

/**
 * Parses the URL of a Redis, of the Sentinels that watch one, or of a Redis Cluster.
 *
 * @returns the address, or what is wrong. The text never repeats the URL, which may contain a password.
 */
export function parseRedisUrl(text: string): RedisAddress | string {
  if (text.includes('#')) return 'number sign (a password writes # as %23)'
  const [match, tls, kind = 'single', credentials = '', list = '', path = '', query] = FORM.exec(text) ?? []
  if (match === undefined) return 'invalid host or port'
  const topology = kind as RedisAddress['topology']
  const servers = parseServerList(list, topology === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT)
  if (!servers) return 'invalid host or port'
  if (topology === 'single' && servers.length > 1) {
    return 'several hosts without redis+sentinel: or redis+cluster:'
  }
  // It would have two votes for the primary.
  if (new Set(servers.map((server) => formatServer(server).toLowerCase())).size < servers.length) return 'host twice'
  const target = parsePath(path, topology)
  if (typeof target === 'string') return target
  const colon = credentials.includes(':') ? credentials.indexOf(':') : credentials.length
  const [user, password] = [decode(credentials.slice(0, colon)), decode(credentials.slice(colon + 1))]
  if (user === undefined || password === undefined) return 'percent sign (a password writes % as %25)'
  const parameters = parseParameters(query)
  if (typeof parameters === 'string') return parameters
  const { ca, wait = '0' } = parameters
  if (ca !== undefined && tls === undefined) return 'parameter ca without TLS (rediss:)'
  if (ca === '') return 'empty ca'
  if (!/^[0-9]$/.test(wait) || parameters.wait === '0') return 'wait that is not a number of replicas, 1 to 9'
  return {
    topology,
    servers,
    ...target,
    user,
    password,
    replicas: Number(wait),
    hasTls: tls !== undefined,
    caPath: ca,
  }
}

function parsePath(path: string, topology: RedisAddress['topology']) {
  if (topology === 'sentinel') {
    const [match, primaryName = '', database = '0'] = /^([A-Za-z0-9._-]+)(?:\/([0-9]{0,4}))?$/.exec(path) ?? []
    if (match === undefined) return 'path that is not the name of a primary, as Sentinel has it, and of a database'
    return { primaryName, database: Number(database) }
  }
  if (!/^[0-9]{0,4}$/.test(path)) return 'path that is not the number of a database'
  const database = Number(path)
  if (topology === 'cluster' && database !== 0) return 'database other than 0, which is the only one of a Cluster'
  return { primaryName: '', database }
}

type Parameters = { [Name in (typeof PARAMETERS)[number]]?: string }

const PARAMETERS = ['ca', 'wait'] as const

/** A plus sign stands for itself. */
function parseParameters(query: string | undefined): Parameters | string {
  const parameters: Parameters = {}
  for (const part of query === undefined ? [] : query.split('&')) {
    const equals = part.includes('=') ? part.indexOf('=') : part.length
    const name = PARAMETERS.find((known) => known === part.slice(0, equals))
    if (!name) return `unknown parameter (known: ${PARAMETERS.join(', ')})`
    if (parameters[name] !== undefined) return `parameter ${name} twice`
    const value = decode(part.slice(equals + 1))
    if (value === undefined) return 'percent sign (a path writes % as %25)'
    parameters[name] = value
  }
  return parameters
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
