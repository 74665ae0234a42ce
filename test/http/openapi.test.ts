import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createOpenApi } from '../../openapi/document.ts'
import { OPEN } from '../support/nevisfido.ts'
import { startServiceAndApp } from '../support/service.ts'

interface Parameter {
  readonly name: string
  readonly required?: boolean
  readonly schema: { readonly default?: unknown; readonly enum?: string[] }
}

interface Operation {
  readonly parameters: Parameter[]
  readonly responses: Record<
    string,
    { readonly content?: Record<string, { readonly example?: unknown; readonly examples?: object }> }
  >
}

interface Document {
  readonly paths: Record<string, Record<string, Operation>>
}

const document = JSON.parse(createOpenApi()) as Document

test('describes every route except those of the reference itself, and nothing else', async () => {
  const { service, app } = await startServiceAndApp({
    configuration: { idscan: { accounts: [] }, nevisfido: OPEN, docs: false },
  })
  await using _service = service
  const described = Object.keys(document.paths)
  for (const path of described) {
    for (const method of Object.keys(document.paths[path] ?? {})) {
      const url = path.replaceAll(/\{(\w+)\}/g, ':$1')
      expect(app.hasRoute({ method: method.toUpperCase() as 'GET', url }), `${method} ${path}`).toBe(true)
    }
  }
  const tree = app.printRoutes({ commonPrefix: false })
  const served = [...tree.matchAll(/(\/\S*) \(/g)].map(([, path = '']) => path.replaceAll(/:(\w+)/g, '{$1}'))
  // A path with an optional trailing slash is registered twice.
  const paths = new Set(served.filter((path) => path !== '/'))
  expect([...paths].toSorted()).toEqual(described.toSorted())
})

test('has an example for every reply', () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const { responses } of Object.values(operations)) {
      for (const [status, { content }] of Object.entries(responses)) {
        for (const body of Object.values(content ?? {}))
          expect(body.example ?? body.examples, `${path} ${status}`).toBeDefined()
      }
    }
  }
})

describe('GET /token', () => {
  const parameters = document.paths['/token']?.get?.parameters ?? []

  test('lists every parameter with its range and default on both paths', () => {
    const described = Object.fromEntries(parameters.map(({ name, required, schema }) => [name, { required, schema }]))
    expect(document.paths['/extension/token']?.get?.parameters).toEqual(parameters)
    expect(described).toMatchObject({
      id: { required: true, schema: { type: 'string', minLength: 1 } },
      bcid: { schema: { type: 'string' } },
      task: { schema: { enum: ['verify', 'identify', 'enroll', 'livenessdetection'], default: 'verify' } },
      maxtries: { schema: { type: 'integer', minimum: 1, maximum: 15, default: 3 } },
      livedetection: { schema: { type: 'boolean', default: true } },
      challenge: { schema: { type: 'boolean', default: false } },
      challenges: { schema: { type: 'integer', minimum: 2, maximum: 7, default: 3 } },
      autoenroll: { schema: { type: 'boolean', default: false } },
      traits: { schema: { items: { enum: ['Face', 'Periocular', 'Voice'] }, default: ['Face', 'Periocular'] } },
    })
  })

  test('describes every status of the contract', () => {
    const statuses = Object.keys(document.paths['/token']?.get?.responses ?? {})
    expect(statuses).toEqual(['200', '400', '401', '403', '405', '429', '500', '503'])
  })

  test('lists a task that is added to the enum, with no other edit', () => {
    const folder = mkdtempSync(join(tmpdir(), 'trimint-openapi-'))
    for (const part of ['src', 'openapi', 'package.json']) cpSync(part, join(folder, part), { recursive: true })
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
    const file = join(folder, 'src/core/bws/task.ts')
    const source = readFileSync(file, 'utf8')
    writeFileSync(file, source.replace('identify: 0x10,', 'identify: 0x10, wave: 0x40,'))
    execFileSync(process.execPath, [join(folder, 'openapi/generate.ts')], { cwd: folder })
    const changed = JSON.parse(readFileSync(join(folder, 'openapi/openapi.json'), 'utf8')) as Document
    const tasks = changed.paths['/token']?.get?.parameters.find(({ name }) => name === 'task')?.schema.enum
    expect(tasks).toEqual(['verify', 'identify', 'wave', 'enroll', 'livenessdetection'])
    rmSync(folder, { recursive: true })
  })
})
