import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/app/system-clock.ts'
import { MAX_KEYS_PER_USER } from '../../../src/core/ports/credential-store.ts'
import type { Revocation } from '../../../src/core/ports/revocation-store.ts'
import { openStores } from '../../../src/store/open-stores.ts'
import { runTrimint } from '../../support/command.ts'
import { findFreePort } from '../../support/ports.ts'
import { giveToPostgres, hasPostgres, type StartedPostgres, startPostgres } from '../../support/postgres.ts'
import { createCredential, createRecord, LIFETIME_MS, NOW } from '../../support/records.ts'

const EXPIRY = NOW + LIFETIME_MS

const outcomeOf = (call: Promise<unknown>) => call.then(() => 'done', String)

/** A server with TLS, whose certificate names 127.0.0.1 and is signed by a CA of the test. */
describe.skipIf(!hasPostgres())('PostgreSQL', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-postgres-tls-'))
  const at = (name: string) => join(folder, name)
  let server: StartedPostgres

  function createCertificates(): void {
    const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' })
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=our CA', '-days', '3650')
    openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=db')
    writeFileSync(at('ext'), 'subjectAltName=IP:127.0.0.1')
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '3650', '-extfile', 'ext']
    openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...ca)
    for (const name of [folder, at('server.key'), at('server.pem')]) giveToPostgres(name)
  }

  beforeAll(async () => {
    createCertificates()
    server = await startPostgres({ ssl: 'on', ssl_cert_file: at('server.pem'), ssl_key_file: at('server.key') })
  }, 60_000)
  afterAll(async () => {
    await server.stop()
    rmSync(folder, { recursive: true })
  })

  const tlsCases: [string, (url: string) => string, RegExp][] = [
    ['accepts', (url) => `${url}?sslmode=verify-full&sslrootcert=${at('ca.pem')}`, /^done$/],
    ['accepts, without its name,', (url) => `${url}?sslmode=verify-ca&sslrootcert=${at('ca.pem')}`, /^done$/],
    ['rejects, without the CA,', (url) => `${url}?sslmode=verify-full`, /certificate/],
    [
      'rejects, at another name,',
      (url) => `${url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert=${at('ca.pem')}`,
      /does not match certificate/,
    ],
    [
      'accepts, at another name with verify-ca,',
      (url) => `${url.replace('127.0.0.1', 'localhost')}?sslmode=verify-ca&sslrootcert=${at('ca.pem')}`,
      /^done$/,
    ],
  ]

  test.each(tlsCases)('%s a server certificate of a private CA', async (_, urlOf, expected) => {
    const stores = await openStores(urlOf(await server.createDatabase()))
    expect(await outcomeOf(stores.tokens.create(createRecord()))).toMatch(expected)
    await stores.close()
  })

  test('encrypts the connection with sslmode=verify-full', async () => {
    const url = await server.createDatabase()
    const stores = await openStores(`${url}?sslmode=verify-full&sslrootcert=${at('ca.pem')}`)
    await stores.tokens.create(createRecord())
    const connections = await server.query(
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = '${new URL(url).pathname.slice(1)}' AND application_name LIKE 'trimint%'`,
    )
    expect(connections).toEqual([{ ssl: true }])
    await stores.close()
  })

  test('lets three instances start at once on an empty database', async () => {
    const url = await server.createDatabase()
    const all = await Promise.all([1, 2, 3].map(() => openStores(url)))
    const outcomes = await Promise.all(all.map(({ tokens }) => outcomeOf(tokens.create(createRecord()))))
    expect(outcomes).toEqual(['done', 'done', 'done'])
    await Promise.all(all.map((stores) => stores.close()))
  })

  test('U38: counts the keys of a user that version 1 has registered', async () => {
    const url = await server.createDatabase()
    await (await openStores(url)).close()
    await server.query(
      `ALTER TABLE trimint_credentials DROP COLUMN slot;
       UPDATE trimint_schema SET version = 1;
       INSERT INTO trimint_credentials (aaid, key_id, username, details, registered_at)
         SELECT 'F1D0#0001', at::text, '"jeff"', '{}', at FROM generate_series(1, ${MAX_KEYS_PER_USER - 1}) AS at`,
      url,
    )
    const { tokens, close } = await openStores(url)
    const register = async () => {
      const { tokenDigest, ...record } = createRecord()
      await tokens.create({ tokenDigest, ...record })
      await tokens.redeem(tokenDigest, 'registration', NOW)
      const registrations = [createCredential({ username: 'jeff' })]
      return tokens.settle(tokenDigest, { outcome: { settledAt: NOW, statusCode: 1200 }, registrations, uses: [] }, NOW)
    }
    expect([await register(), await register()]).toEqual(['settled', 'full'])
    await close()
  })

  const refusals: [string, (url: string) => string | Promise<string>, RegExp][] = [
    ['a wrong password', (url) => url.replace(/:[^:@]*@/, ':wrong-password@'), /password authentication failed/],
    ['a database that does not exist', (url) => `${url}-none`, /database "[^"]*-none" does not exist/],
    [
      'tables of a newer release',
      async (url) => {
        await (await openStores(url)).close()
        await server.query('UPDATE trimint_schema SET version = 99', url)
        return url
      },
      /the store is of version 99, this release knows versions up to 2/,
    ],
    [
      'a database in another encoding',
      async (url) => {
        await server.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        return url.replace(/[^/]*$/, 'latin')
      },
      /encoded in LATIN1; expected UTF8/,
    ],
    [
      'a user without rights',
      async (url) => {
        await server.query("CREATE ROLE narrow LOGIN PASSWORD 'narrow-password'")
        return url.replace(/\/\/[^@]*@/, '//narrow:narrow-password@')
      },
      /permission denied for schema public/,
    ],
  ]

  test.each(refusals)('refuses to start with %s, and shows no password', async (_, prepare, expected) => {
    const url = await prepare(await server.createDatabase())
    let refusal = ''
    // On a busy machine, connecting can take longer than a start waits for it.
    async function start(): Promise<string> {
      refusal = await outcomeOf(openStores(url).then(({ close }) => close()))
      return refusal
    }
    await expect.poll(start).toMatch(expected)
    expect(refusal).not.toMatch(/[a-z]+-password/)
  })

  test('creates no tables for a command', async () => {
    const url = await server.createDatabase()
    await expect(openStores(url, { create: false })).rejects.toThrow('the database contains no store')
    expect(await server.query("SELECT FROM pg_tables WHERE tablename LIKE 'trimint%'", url)).toEqual([])
  })

  describe('with a user that owns no tables', () => {
    const run = (...words: string[]) => runTrimint(words, { clock: systemClock })
    let ownerUrl: string
    let url: string
    beforeAll(async () => {
      ownerUrl = await server.createDatabase()
      url = ownerUrl.replace(/\/\/[^@]*@/, '//runtime:runtime-password@')
      await server.query("CREATE ROLE runtime LOGIN PASSWORD 'runtime-password'")
      await server.query('ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO runtime', ownerUrl)
    })

    test('serves once `trimint store migrate` has created the tables', async () => {
      expect(await run('store', 'check', url)).toEqual({
        code: 1,
        out: '',
        err: expect.stringMatching(/^the store cannot be opened: the database contains no store; /),
      })
      expect(await run('store', 'migrate', ownerUrl)).toEqual({
        code: 0,
        out: expect.stringMatching(/^postgres:\/\/…@127.*\/test_\d+ is of this release\n$/),
        err: '',
      })
      const stores = await openStores(url)
      await stores.tokens.create(createRecord())
      await stores.tokens.sweep(EXPIRY + 3_600_000)
      await stores.revocations.add(revocation('a'), NOW)
      await stores.close()
    })

    test('is told by `trimint store check` what the server can lose', async () => {
      expect(await run('store', 'check', url)).toEqual({
        code: 0,
        out: expect.stringMatching(/^postgres:\/\/…@.* can be read and written, and is of this release\n$/),
        err: [
          'warning: synchronous_standby_names is empty: a fail-over loses the last writes',
          'warning: fsync is off: a crash of the machine can destroy the database',
          'warning: no running server has announced itself in this store; is it the store of your servers?\n',
        ].join('\n'),
      })
    })

    test('is refused, with the names of the rights that it lacks', async () => {
      await server.query('REVOKE DELETE ON trimint_uses FROM runtime', ownerUrl)
      await server.query('REVOKE INSERT, UPDATE ON trimint_beats FROM runtime', ownerUrl)
      const opening = openStores(url)
      await expect(opening).rejects.toThrow(
        'the user lacks the rights INSERT on trimint_beats, UPDATE on trimint_beats, DELETE on trimint_uses',
      )
    })
  })

  test('`trimint store check` fails where no server answers', async () => {
    const words = ['store', 'check', `postgres://user:a-password@127.0.0.1:${await findFreePort()}/trimint`]
    const { code, out, err } = await runTrimint(words, { clock: systemClock })
    expect({ code, out, err }).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^the store does not answer: no PostgreSQL server takes writes .*ECONNREFUSED/),
    })
  })

  test('starts without a server, rejects calls at once, and works once the server runs', {
    timeout: 60_000,
  }, async () => {
    const port = await findFreePort()
    const errors: string[] = []
    const stores = await openStores(server.url.replace(/:\d+\//, `:${port}/`), {
      onError: ({ message }) => errors.push(message),
    })
    await expect(stores.tokens.create(createRecord())).rejects.toThrow(
      /no PostgreSQL server takes writes .*ECONNREFUSED/,
    )
    await using _server = await startPostgres({ port: String(port) })
    await expect.poll(() => outcomeOf(stores.tokens.create(createRecord()))).toBe('done')
    expect(errors.filter((message) => message.includes('ECONNREFUSED'))).toHaveLength(1)
    await stores.close()
  })

  test('gets no calls that would time out, under more load than it can take', async () => {
    const url = await server.createDatabase()
    const { replicas, close } = await openStores(url)
    const slowly = 'BEGIN PERFORM pg_sleep(0.35); RETURN NEW; END'
    await server.query(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS '${slowly}'`, url)
    await server.query('CREATE TRIGGER slow BEFORE INSERT ON trimint_announcements EXECUTE FUNCTION slowly()', url)
    const announce = (id: number) =>
      replicas.announce({ id: `i/${id}`, instance: 'i', keys: [], expires: EXPIRY }, new Map())
    const outcomes = await Promise.all(Array.from({ length: 40 }, (_, id) => outcomeOf(announce(id))))
    // Each of five connections takes one call, and a second one before 0.6 s have passed.
    expect(outcomes.filter((outcome) => /too slow; the call was not sent/.test(outcome)).length).toBeGreaterThan(29)
    expect(outcomes).toContain('done')
    await server.query('DROP TRIGGER slow ON trimint_announcements', url)
    await expect.poll(() => outcomeOf(announce(0)), { timeout: 5_000 }).toBe('done')
    await close()
  })

  const revocation = (subject: string): Revocation => ({ subject, issuedUntil: NOW, expires: EXPIRY })

  test('reads a revocation that was begun first and commits last', async () => {
    const url = await server.createDatabase()
    const { revocations, close } = await openStores(url)
    const other = new Client(url)
    await other.connect()
    await other.query('BEGIN')
    await other.query(`INSERT INTO trimint_revocations VALUES ('"late"', ${NOW}, ${EXPIRY})`)
    await revocations.add(revocation('early'), NOW)
    const first = await revocations.since(undefined)
    expect(first.revocations).toEqual([revocation('early')])
    await other.query('COMMIT')
    await other.end()

    const inOrder = await server.query('SELECT subject FROM trimint_revocations ORDER BY transaction', url)
    expect(inOrder, 'a cursor at the last id would miss the first row').toEqual([
      { subject: '"late"' },
      { subject: '"early"' },
    ])
    const second = await revocations.since(first.cursor)
    expect(second.revocations).toEqual([revocation('late'), revocation('early')])
    expect((await revocations.since(second.cursor)).revocations).toEqual([])
    await close()
  })

  test('reads restored revocations only once after a sweep, although they have ids of another server', async () => {
    const url = await server.createDatabase()
    const { revocations, close } = await openStores(url)
    await server.query(`INSERT INTO trimint_revocations VALUES ('"restored"', ${NOW}, ${EXPIRY}, '999999999')`, url)
    const first = await revocations.since(undefined)
    expect(first.revocations).toEqual([revocation('restored')])
    await revocations.sweep(NOW)
    const second = await revocations.since(first.cursor)
    expect(second.revocations).toEqual([revocation('restored')])
    expect((await revocations.since(second.cursor)).revocations).toEqual([])
    await close()
  })

  test('forgets connections that have not read revocations for an hour', async () => {
    const url = await server.createDatabase()
    const { revocations, close } = await openStores(url)
    await revocations.since(undefined)
    await server.query("INSERT INTO trimint_beats VALUES (0, now() - interval '61 minutes')", url)
    await revocations.sweep(NOW)
    const left = await server.query('SELECT backend <> 0 AS reads FROM trimint_beats', url)
    expect(left).toEqual([{ reads: true }])
    await close()
  })

  test('sweeps tokens in steps, and no longer counts those without a client', async () => {
    const url = await server.createDatabase()
    const { tokens, close } = await openStores(url)
    const limit = { maxRecords: 300, maxBytes: 1_000_000 }
    const create = () => tokens.create({ ...createRecord(), client: undefined }, limit)
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 30 }, create))
    expect(await create()).toBe(false)
    const kept = { ...createRecord(), expiresAt: EXPIRY + 1 }
    await tokens.create(kept)
    await tokens.sweep(EXPIRY + 3_600_000)
    const [left] = await server.query('SELECT (SELECT count(*) FROM trimint_tokens), * FROM trimint_anonymous', url)
    expect(left).toEqual({ count: '1', records: '0', bytes: '0' })
    expect(await create()).toBe(true)
    await close()
  })
})
