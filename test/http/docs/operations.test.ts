import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { configurationSchema } from '../../../src/config/schema.ts'
import { REFUSAL_REASONS } from '../../../src/http/refusal.ts'
import { createMetrics } from '../../../src/observability/metrics.ts'
import { openStores, type Stores } from '../../../src/store/open-stores.ts'
import { cert, key } from '../../support/certificate.ts'
import { startDurableRedis } from '../../support/durable-redis.ts'
import { ACCOUNT, encodeForm, LOGIN } from '../../support/idscan.ts'
import { trackSecret } from '../../support/leak-recorder.ts'
import { RESOURCE_SERVERS } from '../../support/lifecycle.ts'
import { readBlocks, readTable } from '../../support/markdown.ts'
import { bodyFor, OPEN, UAF } from '../../support/nevisfido.ts'
import { replaceOnce, runNginx } from '../../support/nginx.ts'
import { findFreePort } from '../../support/ports.ts'
import { hasProgram } from '../../support/programs.ts'
import { createRecord } from '../../support/records.ts'
import { APP, APP_SECRET, basic, KEY, startService } from '../../support/service.ts'

// Runs the configurations and commands of the pages for operators, and compares their tables with the code.

const MONITORING = 'docs/monitoring.md'
const PAGES = ['README.md', 'docs/operations.md', 'docs/backup.md', 'docs/scaling.md', MONITORING]
const blocks = PAGES.flatMap(readBlocks)

/** Returns the only block that contains a text. @throws Error when there are none or several. */
function blockWith(part: string): string {
  const [block, ...others] = blocks.filter(({ code }) => code.includes(part))
  if (!block || others.length > 0)
    throw new Error(`${others.length + (block ? 1 : 0)} blocks contain \`${part}\`; expected one`)
  return block.code
}

describe('metrics', () => {
  test('docs/monitoring.md lists exactly the metrics of the code, with their labels', async () => {
    const metrics = createMetrics(() => 0).registry.getMetricsAsArray() as unknown as {
      name: string
      labelNames: string[]
    }[]
    const ours = metrics.filter(({ name }) => name.startsWith('trimint_'))
    const rows = readTable(MONITORING, 'Metrics').map(([name = '', labels = '']) => ({ name, labels }))
    const expected = ours.map(({ name, labelNames }) => ({
      name: `\`${name}\``,
      labels: labelNames.map((label) => `\`${label}\``).join(', '),
    }))
    const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name)
    expect(rows.toSorted(byName)).toEqual(expected.toSorted(byName))
  })

  test('names only existing metrics in the pages for operators', () => {
    const names = createMetrics(() => 0)
      .registry.getMetricsAsArray()
      .map(({ name }) => name)
    for (const page of PAGES) {
      const mentioned = readFileSync(page, 'utf8').matchAll(/(?<=`)trimint_[a-z_]+/g)
      for (const [name] of mentioned) expect(names, page).toContain(name)
    }
  })
})

describe('alerts', () => {
  const audit = readFileSync('docs/audit.md', 'utf8')

  test('docs/monitoring.md names only events and reasons that docs/audit.md explains', () => {
    const named = readTable(MONITORING, 'Alerts').flatMap(([when = '']) => [
      ...when.matchAll(/`([a-z]+[._][a-z._]+)`/g),
    ])
    const words = named.map(([, word = '']) => word)
    expect(words.length).toBeGreaterThan(15)
    const reasons: readonly string[] = REFUSAL_REASONS
    for (const word of words) expect(reasons.includes(word) || audit.includes(`\`${word}\``), word).toBe(true)
  })
})

describe('configurations', () => {
  const base = { publicUrl: 'https://tokens.example.com', keys: [{ secret: KEY }] }

  test.each(blocks.filter(({ language }) => language === 'yaml'))(
    'the schema accepts the configuration in $file, line $line',
    ({ code }) => {
      const digest = `sha256:${'0'.repeat(64)}`
      const filledIn = code
        .replaceAll('sha256:…', digest)
        .replaceAll(/file:\/etc\/trimint\/key|\$\{TRIMINT_KEY\}/g, KEY)
      expect(configurationSchema.safeParse({ ...base, ...parse(filledIn) })).toMatchObject({ success: true })
    },
  )
})

describe.skipIf(!hasProgram('nginx'))('behind nginx', () => {
  const PASSED = { 'x-request-id': 'an-id-of-the-caller', 'x-forwarded-for': '198.51.100.7' }
  const QUERY = 'id=app-1&bcid=bws.112.12345'

  async function startSite() {
    const service = await startService({
      configuration: {
        trustProxy: 'loopback',
        idscan: { accounts: [ACCOUNT] },
        nevisfido: OPEN,
        resourceServers: RESOURCE_SERVERS,
      },
    })
    const port = await findFreePort()
    const replacements = [
      ['127.0.0.1:8080', `127.0.0.1:${service.port}`],
      ['listen 443 ssl', `listen 127.0.0.1:${port} ssl`],
      ['/etc/nginx/tokens.crt', 'tokens.crt'],
      ['/etc/nginx/tokens.key', 'tokens.key'],
      ['/var/log/nginx/trimint.log', 'access.log'],
    ] as const
    const site = replacements.reduce((block, [from, to]) => replaceOnce(block, from, to), blockWith('server_name'))
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
    const configuration = `pid nginx.pid; error_log error.log; events {} http { ${paths.join(' ')}\n${site}\n}`
    const url = `https://127.0.0.1:${port}`
    const nginx = await runNginx(url, { 'nginx.conf': configuration, 'tokens.crt': cert, 'tokens.key': key })
    const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
    return {
      service,
      nginx,
      async ask(path: string, options: { headers?: Record<string, string>; body?: string } = {}) {
        const { headers, body } = options
        const method = body === undefined ? 'GET' : 'POST'
        const reply = await request(url + path, {
          dispatcher,
          method,
          headers: { ...PASSED, ...headers },
          body: body ?? null,
        })
        return { status: reply.statusCode, headers: reply.headers, body: await reply.body.text() }
      },
      async [Symbol.asyncDispose]() {
        await dispatcher.destroy()
        await nginx[Symbol.asyncDispose]()
        await service.close()
      },
    }
  }

  test('serves every contract behind nginx and logs the address that nginx saw', async () => {
    await using site = await startSite()
    const authorization = basic(APP.id, APP_SECRET)
    for (const path of ['/token', '/extension/token']) {
      const token = await site.ask(`${path}?${QUERY}`, { headers: { authorization } })
      expect(token).toMatchObject({ status: 200, headers: { 'x-request-id': PASSED['x-request-id'] } })
      trackSecret(token.body)
      expect(site.service.log.at(-1)).toMatchObject({ event: 'token.issued', address: '127.0.0.1' })
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const login = await site.ask('/IDScanEnterpriseSvc/Token/', { headers: form, body: encodeForm(LOGIN) })
    expect(login.status).toBe(200)
    expect(login.headers['set-cookie']).toEqual([expect.stringMatching(/; Secure; HttpOnly$/), expect.anything()])
    trackSecret((JSON.parse(login.body) as { access_token: string }).access_token)
    const create = await site.ask('/nevisfido/token/create/registration', {
      headers: { 'content-type': `${UAF};charset=UTF-8`, accept: 'application/json' },
      body: bodyFor('registration'),
    })
    expect(JSON.parse(create.body)).toMatchObject({ statusCode: 1200 })

    const log = await site.nginx.log()
    expect(log).toContain('"GET /token" 200')
    expect(log).toContain(PASSED['x-request-id'])
    expect(log).not.toContain('bcid')
  })

  test('rejects an oversized body in the format of the contract, not of nginx', async () => {
    await using site = await startSite()
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const reply = await site.ask('/idscanenterprisesvc/token', { headers: form, body: `a=${'x'.repeat(100_000)}` })
    expect(reply.status).toBe(413)
    expect(JSON.parse(reply.body)).toMatchObject({ error: 'invalid_request' })
  })

  test('hides introspection, revocation, health, metrics and gateway checks from external callers', async () => {
    await using site = await startSite()
    for (const path of ['/introspect', '/revoke']) expect((await site.ask(path, { body: 'token=x' })).status).toBe(403)
    for (const path of ['/healthz', '/readyz', '/metrics', '/authz/bws/verify', '/openapi.json', '/']) {
      expect((await site.ask(path)).status, path).toBe(404)
    }
  })
})

/** Programs on a busy machine. */
const TIMEOUT_MS = 60_000

describe('back up and restore', { timeout: TIMEOUT_MS }, () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trimint-backup-'))
    await symlink(resolve('node_modules'), join(folder, 'node_modules'))
    await mkdir(join(folder, 'data'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  async function run(commands: string): Promise<string> {
    return (await promisify(execFile)('bash', ['-e', '-o', 'pipefail', '-c', commands], { cwd: folder })).stdout
  }

  /** Stores a token with the given digest. */
  function create({ tokens }: Stores, tokenDigest: string): Promise<boolean> {
    return tokens.create(createRecord({ tokenDigest, createdAt: 1_000 }))
  }

  const open = (store: string) => openStores(store, { onError: () => undefined, onFatal: () => undefined })
  const found = async ({ tokens }: Stores, digest: string) => (await tokens.findByToken(digest, 1_500)) !== undefined

  test.each([
    { program: 'sqlite3', copy: 'backup.db', part: '.backup' },
    { program: 'bash', copy: 'compact.db', part: 'VACUUM INTO' },
  ])('backs up an SQLite store in use with $part and restores it', async ({ program, copy, part }) => {
    if (!hasProgram(program)) return
    const store = `sqlite:${join(folder, 'data/trimint.db')}`
    const before = await open(store)
    await create(before, `before ${part}`)
    const printed = await run(blockWith(part))
    if (program === 'sqlite3') expect(printed).toBe('ok\n')
    await create(before, `after ${part}`)
    await before.close()
    await run(blockWith('trimint.db-wal').replace('backup.db', copy))
    const after = await open(store)
    expect([await found(after, `before ${part}`), await found(after, `after ${part}`)]).toEqual([true, false])
    await after.close()
  })

  test.skipIf(!hasProgram('redis-server'))('backs up Redis in use, restores it, and shows its settings', async () => {
    await using redis = await startDurableRedis()
    const { port } = new URL(redis.url)
    const stores = await open(redis.url)
    await create(stores, 'before')
    await run(blockWith('appendonlydir" backup').replaceAll('6379', port))
    expect(await run(blockWith('for name in').replaceAll('6379', port))).toBe(
      'maxmemory-policy\nnoeviction\nappendonly\nyes\nappendfsync\nalways\n',
    )
    await create(stores, 'after')
    await stores.close()
    const copy = join(folder, 'backup-appendonlydir')
    await using restored = await startDurableRedis((place) =>
      cp(copy, join(place, 'appendonlydir'), { recursive: true }),
    )
    const after = await open(restored.url)
    expect([await found(after, 'before'), await found(after, 'after')]).toEqual([true, false])
    await after.close()
  })
})
