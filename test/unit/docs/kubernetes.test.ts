import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { Secret } from 'kubernetes-models/v1/Secret'
import { Service } from 'kubernetes-models/v1/Service'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { systemClock } from '../../../src/app/system-clock.ts'
import { readEnvironment } from '../../../src/config/environment.ts'
import { checkConfiguration } from '../../../src/config/load.ts'
import { FORCE_EXIT_AFTER_MS } from '../../../src/process/graceful-exit.ts'
import { cert } from '../../support/certificate.ts'
import { findProgram } from '../../support/programs.ts'
import { KEY } from '../../support/service.ts'

const EXAMPLE = resolve('examples/kubernetes')
const run = promisify(execFile)

/** Each kind's schema, as Kubernetes and the Prometheus Operator publish it, and where its type is declared. */
const MODELS = {
  ConfigMap: [ConfigMap, 'kubernetes-models/v1/ConfigMap'],
  Deployment: [Deployment, 'kubernetes-models/apps/v1/Deployment'],
  HorizontalPodAutoscaler: [HorizontalPodAutoscaler, 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler'],
  NetworkPolicy: [NetworkPolicy, 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'],
  PodDisruptionBudget: [PodDisruptionBudget, 'kubernetes-models/policy/v1/PodDisruptionBudget'],
  Secret: [Secret, 'kubernetes-models/v1/Secret'],
  Service: [Service, 'kubernetes-models/v1/Service'],
  ServiceMonitor: [ServiceMonitor, '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor'],
} as const

interface Resource {
  readonly apiVersion: string
  readonly kind: keyof typeof MODELS
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

/** Throws if a resource breaks its schema. */
function validate(resource: Resource): void {
  const [Model] = MODELS[resource.kind]
  expect(resource.apiVersion).toBe(Model.apiVersion)
  const model = new Model(resource as never)
  model.validate()
}

/**
 * Returns the compiler's complaints about resources, as literals of the declared types: a schema accepts properties that it
 * does not know, an object literal does not.
 */
async function findUnknownProperties(resources: readonly Resource[]): Promise<string> {
  // Inside node_modules, so that the compiler finds the declarations.
  const parent = resolve('node_modules/.cache')
  mkdirSync(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, 'kubernetes-'))
  const lines = resources.flatMap((resource, index) => {
    const { kind } = resource
    return [
      `import type { I${kind} as T${index} } from '${MODELS[kind][1]}'`,
      `export const r${index}: T${index} = ${JSON.stringify(resource)}`,
    ]
  })
  try {
    writeFileSync(join(folder, 'resources.mts'), lines.join('\n'))
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', '', '--ignoreConfig']
    await run(resolve('node_modules/.bin/tsc'), [...options, join(folder, 'resources.mts')])
    return ''
  } catch (error) {
    return String((error as { stdout?: string }).stdout ?? error)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const readBase = (name: string): Resource => parse(readFileSync(join(EXAMPLE, 'base', name), 'utf8'))
const base = readdirSync(join(EXAMPLE, 'base')).filter((name) => !['kustomization.yaml', 'trimint.yaml'].includes(name))

interface DeploymentTemplate {
  readonly spec: {
    readonly replicas: number
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly [
          {
            readonly env: readonly { readonly name: string; readonly value: string }[]
            readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
          },
        ]
      }
    }
  }
}

describe('examples/kubernetes', () => {
  test.each(base)('%s follows its published schema', (name) => {
    validate(readBase(name))
  })

  test('has no property that the schemas do not know', { timeout: 60_000 }, async () => {
    const misspelt = { ...readBase('service.yaml'), specc: {} }
    const complaints = (await findUnknownProperties([...base.map(readBase), misspelt])).trim().split('\n')
    expect(complaints).toEqual([expect.stringMatching(/specc.* does not exist/)])
  })

  test('lists every file of the base', () => {
    const { resources } = parse(readFileSync(join(EXAMPLE, 'base/kustomization.yaml'), 'utf8')) as {
      resources: string[]
    }
    expect(resources.toSorted()).toEqual(base.toSorted())
  })

  test('sets an environment that Trimint accepts, on the ports that the container declares', () => {
    const { spec } = (readBase('deployment.yaml') as unknown as DeploymentTemplate).spec.template
    const [container] = spec.containers
    const image = readFileSync('Dockerfile', 'utf8')
    const fixed = Object.fromEntries(
      image
        .match(/^ENV NODE_ENV=.*$/m)?.[0]
        .slice(4)
        .split(' ')
        .map((pair) => pair.split('=')) ?? [],
    )
    const set = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
    const { environment, issues } = readEnvironment({ ...fixed, ...set })
    expect(issues).toEqual([])
    for (const name of Object.keys(set)) expect(Object.keys(environment)).toContain(name)
    expect(container.ports.map(({ containerPort }) => containerPort)).toEqual([
      environment.PORT,
      environment.METRICS_PORT,
    ])
    expect(spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(environment.DRAIN_TIMEOUT + FORCE_EXIT_AFTER_MS)
    expect(environment).toMatchObject({
      METRICS_HOST: '0.0.0.0',
      NODE_ENV: 'production',
      TRIMINT_CONFIG: '/etc/trimint/trimint.yaml',
    })
  })

  test('replaces the egress to Valkey by one to PostgreSQL in the overlay postgres', async () => {
    const [{ target, patch }] = parse(readFileSync(join(EXAMPLE, 'postgres/kustomization.yaml'), 'utf8')).patches
    expect(target).toEqual({ kind: 'NetworkPolicy', name: 'trimint' })
    const [{ op, path, value }, ...others] = parse(patch)
    expect([op, path, others]).toEqual(['replace', '/spec/egress/0', []])
    const policy = readBase('network-policy.yaml') as Resource & { spec: { egress: { ports: { port: number }[] }[] } }
    expect(policy.spec.egress[0]?.ports).toEqual([{ port: 6379, protocol: 'TCP' }])
    policy.spec.egress[0] = value
    validate(policy)
    expect(await findUnknownProperties([policy])).toBe('')
  })

  const STORES = {
    valkey: 'redis://:a-password@valkey:6379/0',
    postgres:
      'postgres://trimint:a-password@postgres-rw:5432/trimint?sslmode=verify-full&sslrootcert=/etc/trimint-secrets/ca.pem',
  }
  test.each([
    ['base', STORES.valkey],
    ['production', STORES.valkey],
    ['production', STORES.postgres],
  ])('%s has a configuration that production accepts, with %s', async (name, store) => {
    const secrets = await mkdtemp(join(tmpdir(), 'trimint-kubernetes-'))
    writeFileSync(join(secrets, 'key-2026-11'), `${KEY}\n`)
    writeFileSync(join(secrets, 'ca.pem'), cert)
    const url = store.replace('/etc/trimint-secrets', secrets)
    writeFileSync(join(secrets, 'store'), `${url}\n`)
    const source = readFileSync(join(EXAMPLE, name, 'trimint.yaml'), 'utf8')
    const { environment } = readEnvironment({ NODE_ENV: 'production' })
    const here = source.replaceAll('/etc/trimint-secrets', secrets)
    const loaded = checkConfiguration('/etc/trimint/trimint.yaml', here, environment, {}, systemClock())
    rmSync(secrets, { recursive: true })
    expect(loaded).toMatchObject({
      configuration: { watch: true, store: url },
      warnings: [],
    })
  })
})

// Debian's kubectl (1.20) has a kustomize that is too old, so CI does not install one.
describe.skipIf(findProgram('kubectl') === undefined)('kubectl kustomize examples/kubernetes/production', () => {
  let folder: string
  let built: Resource[]
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trimint-kustomize-'))
    cpSync(EXAMPLE, folder, { recursive: true })
    mkdirSync(join(folder, 'production/secrets'), { recursive: true })
    writeFileSync(join(folder, 'production/secrets/key-2026-11'), KEY)
    writeFileSync(join(folder, 'production/secrets/store'), 'redis://valkey:6379/0')
    const { stdout } = await run('kubectl', ['kustomize', join(folder, 'production')])
    built = parseAllDocuments(stdout).map((document) => document.toJS() as Resource)
  }, 60_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('builds every kind, in one namespace, each following its schema', async () => {
    expect(built.map(({ kind }) => kind).toSorted()).toEqual(Object.keys(MODELS).toSorted())
    for (const resource of built) {
      expect(resource.metadata).toMatchObject({ name: 'trimint', namespace: 'trimint' })
      validate(resource)
    }
    expect(await findUnknownProperties(built)).toBe('')
  })

  test('applies the overlay: image, configuration, secrets and limits', () => {
    const text = JSON.stringify(built)
    expect(text).toContain('"image":"registry.example.com/trimint:0.1.0"')
    expect(text).toContain('publicUrl: https://tokens.production.example.com')
    expect(text).toContain(`"key-2026-11":"${Buffer.from(KEY).toString('base64')}"`)
    expect(text).toContain('"maxReplicas":4')
  })
})
