import { type HostAndPort, parseServerList } from './server-list.ts'

/** How the server's certificate is verified; undefined connects without TLS. */
export interface PostgresTls {
  /** Whether the certificate has to name the host (`sslmode=verify-full`). */
  readonly verifiesHost: boolean
  /** Path of the certificates that servers are verified against; undefined for the system's. */
  readonly rootCertificates: string | undefined
}

/** What a PostgreSQL URL says. */
export interface PostgresAddress {
  /** The servers of one cluster. Only its primary is used. */
  readonly hosts: readonly HostAndPort[]
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  readonly tls: PostgresTls | undefined
}

const DEFAULT_PORT = 5_432

const FORM = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)\/([^/?#]*)(?:\?([^?#]*))?$/

const PARAMETERS = ['target_session_attrs', 'sslmode', 'sslrootcert']

/**
 * Parses a URL as libpq has it (PostgreSQL documentation, section 34.1.1.2), with the parameters that Trimint honours.
 *
 * @returns the address, or what is wrong. The text never repeats the URL, which may contain a password.
 */
export function parsePostgresUrl(text: string): PostgresAddress | string {
  const [match, credentials = '', hostList = '', path = '', query = ''] = FORM.exec(text) ?? []
  if (match === undefined) return 'not of the form postgres://user:password@host:5432/database'
  const [user, password, ...rest] = credentials.split(':').map(decode)
  if (rest.length > 0) return 'colon in the password (write it as %3A)'
  if (!user) return 'no user'
  const database = decode(path)
  if (!database) return 'no database'
  if ([user, password, database].some((part) => part?.includes('\0'))) return 'percent sign, or %00, (write % as %25)'
  const hosts = parseServerList(hostList, DEFAULT_PORT)
  if (!hosts) return 'invalid host or port'
  const tls = parseParameters(query)
  return typeof tls === 'string' ? tls : { hosts, user, password, database, tls }
}

/** Returns NUL, which PostgreSQL accepts nowhere, for what cannot be decoded. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return '\0'
  }
}

function parseParameters(query: string): PostgresTls | undefined | string {
  // libpq takes a plus sign literally, URLSearchParams for a space.
  const parameters = new URLSearchParams(query.replaceAll('+', '%2B'))
  for (const name of parameters.keys()) {
    if (!PARAMETERS.includes(name)) return `unknown parameter (known: ${PARAMETERS.join(', ')})`
    if (parameters.getAll(name).length > 1) return `parameter ${name} twice`
  }
  const wanted = parameters.get('target_session_attrs') ?? 'read-write'
  if (wanted !== 'read-write' && wanted !== 'primary') return 'target_session_attrs other than read-write and primary'
  const mode = parameters.get('sslmode') ?? 'disable'
  const rootCertificates = parameters.get('sslrootcert') ?? undefined
  if (mode === 'disable') return rootCertificates === undefined ? undefined : 'sslrootcert without sslmode'
  if (mode !== 'verify-ca' && mode !== 'verify-full') {
    return 'sslmode that does not verify the server (use verify-full, verify-ca or disable)'
  }
  if (rootCertificates === '') return 'empty sslrootcert'
  return {
    verifiesHost: mode === 'verify-full',
    rootCertificates: rootCertificates === 'system' ? undefined : rootCertificates,
  }
}
