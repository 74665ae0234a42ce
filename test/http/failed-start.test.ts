import { once } from 'node:events'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startTrimint } from '../../src/app/start-trimint.ts'
import type { TrimintOptions } from '../../src/app/trimint.ts'
import { findFreePort } from '../support/ports.ts'
import { KEY } from '../support/service.ts'
import { createStoreFolder } from '../support/stores.ts'

const folder = createStoreFolder('failed-start')
afterAll(() => rmSync(folder, { recursive: true }))

describe('a start that fails leaves nothing open', () => {
  let isTracingClosed: boolean
  beforeEach(() => {
    isTracingClosed = false
  })

  /** Starts with a store in a file, which has further files while it is open. */
  function start(options: TrimintOptions, failure?: Error) {
    const close = async () => {
      isTracingClosed = true
    }
    return startTrimint({
      configuration: {
        publicUrl: 'https://a.example',
        keys: [{ secret: KEY }],
        store: `sqlite:${join(folder, 'a.db')}`,
      },
      tracing: { plugin: (_app, _options, done) => done(failure), close },
      ...options,
    })
  }

  function expectClosed(): void {
    expect(readdirSync(folder)).toEqual(['a.db'])
    expect(isTracingClosed).toBe(true)
  }

  test('where the server cannot be built', async () => {
    await expect(start({}, new Error('a plugin fails'))).rejects.toThrow('a plugin fails')
    expectClosed()
  })

  test.each([
    ['the configuration is invalid', '', /store: path of a folder/],
    ['the store cannot be opened', '/no.db', /store: cannot be opened/],
  ])('where %s', async (_what, name, message) => {
    const noDatabase = join(folder, 'no.db')
    writeFileSync(noDatabase, 'text')
    const configuration = { publicUrl: 'https://a.example', keys: [{ secret: KEY }], store: `sqlite:${folder}${name}` }
    await expect(start({ configuration })).rejects.toThrow(message)
    rmSync(noDatabase)
    expect(isTracingClosed).toBe(true)
  })

  test.each(['port', 'metricsPort'] as const)('where %s is in use', async (option) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const free = await findFreePort()
    const ports = { port: free, metricsPort: 0, [option]: (taken.address() as AddressInfo).port }
    await expect(start(ports)).rejects.toThrow(/cannot listen: .*EADDRINUSE/)
    expectClosed()
    const again = createServer().listen(free, '127.0.0.1')
    await once(again, 'listening')
    again.close()
    taken.close()
  })
})
