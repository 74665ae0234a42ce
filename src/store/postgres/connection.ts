import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { Client, type QueryConfig, types } from 'pg'
import type { PostgresAddress } from '../../core/ports/postgres-url.ts'

/** A statement that the server parses once for each connection. */
export interface Statement {
  readonly name: string
  readonly text: string
}

export type Row = Readonly<Record<string, unknown>>

/** A connection to one server. It runs one statement at a time. */
export interface Connection {
  /**
   * Resolves once the server has answered and, for a write, has confirmed that it is durable.
   *
   * @throws Error of the server, or of the connection.
   */
  run(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]>
  /** Runs several statements without parameters. */
  runScript(text: string): Promise<void>
  /** Resolves once either side has closed the connection, with the error that closed it, if any. */
  readonly closed: Promise<Error | undefined>
  /** Closes the connection at once. The server may continue to work on a statement that runs. */
  close(): void
}

export type PostgresHost = PostgresAddress['hosts'][number]

const CONNECT_TIMEOUT_MS = 1_000

/** Detects a peer that has vanished without closing the connection. */
const KEEP_ALIVE_DELAY_MS = 5_000

/**
 * Settings of every session. A write is acknowledged once the synchronous standbys have it, whatever the server's
 * default. The time-outs end statements that no caller waits for; none of them ends a wait for a standby.
 */
const SESSION_SETTINGS = [
  'synchronous_commit=on',
  'statement_timeout=800',
  'lock_timeout=400',
  'idle_in_transaction_session_timeout=5000',
  // The planner overestimates recursive queries: compiling one took longer than a caller waits.
  'jit=off',
]

/** SQLSTATE `warning`. PostgreSQL 15 source, src/backend/replication/syncrep.c: the code of a cancelled wait. */
const WARNING = '01000'

/** PostgreSQL's type id of `bigint`. */
const INT8 = 20

/**
 * Connects to one server.
 *
 * @param applicationName identifies this process in `pg_stat_activity`.
 * @throws Error where it cannot connect within a second.
 */
export async function connect(
  { user, password, database, tls }: PostgresAddress,
  { host, port }: PostgresHost,
  applicationName: string,
): Promise<Connection> {
  const client = new Client({
    host,
    port,
    user,
    // Without a password, the client would search files and environment variables for one.
    password: async () => password ?? '',
    database,
    ssl: tls ? tlsOptions(tls, host) : false,
    client_encoding: 'UTF8',
    application_name: applicationName,
    options: SESSION_SETTINGS.map((setting) => `-c ${setting}`).join(' '),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    types: { getTypeParser: (id, format) => (id === INT8 ? Number : types.getTypeParser(id, format)) },
  })
  let lastError: Error | undefined
  const closed = new Promise<Error | undefined>((resolve) => client.once('end', () => resolve(lastError)))
  client.on('error', (error) => {
    lastError = error
  })
  let isUnconfirmed = false
  client.on('notice', ({ code }: { code?: string | undefined }) => {
    if (code === WARNING) isUnconfirmed = true
  })

  function close(): void {
    client.end().catch(() => undefined)
  }

  async function query(config: QueryConfig<unknown[]>): Promise<readonly Row[]> {
    isUnconfirmed = false
    const { rows } = await client.query<Row>(config)
    // The server answers success to a commit whose wait for a standby was cancelled, with a warning before it.
    if (isUnconfirmed) throw new Error('PostgreSQL has not confirmed that a standby has the write')
    return rows
  }

  try {
    await client.connect()
  } catch (error) {
    close()
    throw error
  }
  return {
    run: ({ name, text }, values) => query({ name, text, values: [...values] }),
    async runScript(text) {
      await query({ text })
    },
    closed,
    close,
  }
}

function tlsOptions({ verifiesHost, rootCertificates }: NonNullable<PostgresAddress['tls']>, host: string) {
  const options: ConnectionOptions = {
    // The client passes only names on to TLS. Without this, a certificate would have to name "localhost" for an address.
    host,
    ...(rootCertificates === undefined ? {} : { ca: readFileSync(rootCertificates) }),
    ...(verifiesHost ? {} : { checkServerIdentity: () => undefined }),
  }
  return options
}
