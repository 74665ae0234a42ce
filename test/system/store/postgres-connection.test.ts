import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PostgresAddress, parsePostgresUrl } from '../../../src/core/ports/postgres-url.ts'
import { type Connection, connect } from '../../../src/store/postgres/connection.ts'
import { openPostgres } from '../../../src/store/postgres/open.ts'
import { hasPostgres, type StartedPostgres, startPostgres } from '../../support/postgres.ts'

// One connection to one server, and what every session of Trimint has.

const select = (expression: string) => ({ name: '', text: `SELECT ${expression} AS value` })

/** Raises a message with a SQLSTATE, as the server does for a commit whose wait for a standby was cancelled. */
const raise = (level: string) => `DO $$ BEGIN RAISE ${level} 'message'; END $$`

describe.skipIf(!hasPostgres())('a connection to PostgreSQL', () => {
  let server: StartedPostgres
  beforeAll(async () => {
    server = await startPostgres({ synchronous_commit: 'off', jit: 'on' })
  }, 60_000)
  afterAll(() => server.stop())

  async function open(): Promise<Connection> {
    const address = parsePostgresUrl(server.url) as PostgresAddress
    return connect(address, { host: '127.0.0.1', port: server.port }, 'trimint test')
  }

  const countSessions = async () => {
    const [row] = await server.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trimint test'")
    return Number(row?.count)
  }

  test.each([
    ['application_name', 'trimint test'],
    ['synchronous_commit', 'on'],
    ['statement_timeout', '800ms'],
    ['lock_timeout', '400ms'],
    ['idle_in_transaction_session_timeout', '5s'],
    ['jit', 'off'],
    ['client_encoding', 'UTF8'],
  ])('sets %s to %s, whatever the server has', async (name, value) => {
    const connection = await open()
    expect(await connection.run(select(`current_setting('${name}')`), [])).toEqual([{ value }])
    connection.close()
  })

  test('returns 64-bit integers as numbers, and passes values', async () => {
    const connection = await open()
    expect(await connection.run(select('$1::bigint'), [2 ** 53 - 1])).toEqual([{ value: 2 ** 53 - 1 }])
    connection.close()
  })

  test('rejects a statement after a warning: a standby may lack the write', async () => {
    const connection = await open()
    const message = 'PostgreSQL has not confirmed that a standby has the write'
    await expect(connection.runScript(raise('WARNING'))).rejects.toThrow(message)
    await connection.runScript(raise('NOTICE'))
    await expect(connection.run({ name: '', text: raise('WARNING') }, [])).rejects.toThrow(message)
    expect(await connection.run(select('1'), [])).toEqual([{ value: 1 }])
    connection.close()
  })

  test('ends at once when it is closed', async () => {
    const connection = await open()
    expect(await countSessions()).toBe(1)
    connection.close()
    expect(await connection.closed).toBeUndefined()
    await expect.poll(countSessions).toBe(0)
  })

  test('says why the server has closed it', async () => {
    const connection = await open()
    await server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trimint test'")
    expect(await connection.closed).toEqual(expect.objectContaining({ message: expect.stringMatching(/terminat/) }))
  })

  test('rejects with the reason where the server refuses the user', async () => {
    const address = { ...(parsePostgresUrl(server.url) as PostgresAddress), password: 'another-password' }
    const connecting = connect(address, { host: '127.0.0.1', port: server.port }, 'trimint test')
    await expect(connecting).rejects.toEqual(expect.objectContaining({ code: '28P01' }))
  })

  test('names the process and its host in every session, in at most 63 bytes', async () => {
    const stores = await openPostgres(await server.createDatabase(), { onError: () => undefined, create: true })
    const [row] = await server.query("SELECT application_name AS name FROM pg_stat_activity WHERE datname = 'test_1'")
    expect(row?.name).toMatch(new RegExp(`^trimint ${process.pid} \\S{1,40}$`))
    await stores.tokens.close()
  })
})

test('opens no stores for a malformed URL, and does not repeat its password', async () => {
  const opening = openPostgres('postgres://user:secret-password@host', { onError: () => undefined, create: true })
  await expect(opening).rejects.toThrow(new Error('not of the form postgres://user:password@host:5432/database'))
})
