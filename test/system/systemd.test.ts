import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readEnvironment } from '../../src/config/environment.ts'
import { FORCE_EXIT_AFTER_MS } from '../../src/process/graceful-exit.ts'
import { startProcess } from '../support/process.ts'
import { findProgram, hasProgram } from '../support/programs.ts'

const UNIT = 'examples/systemd/trimint.service'
const run = promisify(execFile)

const hasSystemd = hasProgram('systemd-analyze')

/** Receives one datagram, and prints it. Node cannot. */
const RECEIVER = `import socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print("bound", flush=True)
print(receiver.recv(4096).decode(), flush=True)
`

describe.skipIf(!hasSystemd)(UNIT, () => {
  let folder: string
  let unit: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trimint-systemd-'))
    unit = join(folder, 'trimint.service')
    // `verify` looks for the program and for the folder.
    const text = readFileSync(UNIT, 'utf8').replace('/srv/trimint/node_modules/.bin/node', process.execPath)
    writeFileSync(unit, text.replaceAll('/srv/trimint', folder))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('is accepted by systemd-analyze verify', async () => {
    const { stdout, stderr } = await run('systemd-analyze', ['verify', unit])
    expect(`${stdout}${stderr}`).toBe('')
  })

  test('exposes the system by at most 2.0 of 10', async () => {
    const { stdout } = await run('systemd-analyze', [
      'security',
      '--offline=true',
      '--no-pager',
      '--threshold=20',
      unit,
    ])
    expect(Number(/Overall exposure level .*: ([0-9.]+)/.exec(stdout)?.[1])).toBeLessThanOrEqual(2)
  })

  test('starts what npm start starts, in an environment that Trimint accepts', () => {
    const text = readFileSync(UNIT, 'utf8')
    const words = /^ExecStart=\S+ --disable-sigusr1 (.*)$/m.exec(text)?.[1]?.split(' ') ?? []
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } }
    expect(`node ${words.join(' ')}`).toBe(scripts.start)
    const pairs = /^Environment=(.*)$/m.exec(text)?.[1]?.split(' ') ?? []
    const { environment, issues } = readEnvironment(Object.fromEntries(pairs.map((pair) => pair.split('='))))
    expect(issues).toEqual([])
    const stopTimeoutMs = Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1]) * 1_000
    expect(stopTimeoutMs).toBeGreaterThan(environment.DRAIN_TIMEOUT + FORCE_EXIT_AFTER_MS)
  })
})

describe('a service of Type=notify', () => {
  const skip = findProgram('systemd-notify') === undefined || !hasProgram('python3')

  test.skipIf(skip).each(['1', '2'])(
    'is reported ready once WORKERS=%s listen',
    { timeout: 180_000 },
    async (WORKERS) => {
      const folder = await mkdtemp(join(tmpdir(), 'trimint-notify-'))
      const NOTIFY_SOCKET = join(folder, 'socket')
      const receiver = spawn('python3', ['-c', RECEIVER, NOTIFY_SOCKET], { stdio: ['ignore', 'pipe', 'inherit'] })
      let received = ''
      receiver.stdout.on('data', (chunk) => {
        received += chunk
      })
      try {
        await expect.poll(() => received).toBe('bound\n')
        await using started = await startProcess({ NOTIFY_SOCKET, WORKERS, DRAIN_DELAY: '0s' })
        await once(receiver, 'close')
        expect(started.out()).toContain('"event":"server.listening"')
        expect(received).toContain('READY=1')
      } finally {
        receiver.kill()
        await rm(folder, { recursive: true })
      }
    },
  )

  test('keeps serving if systemd-notify is missing, and says so', async () => {
    await using started = await startProcess({ NOTIFY_SOCKET: '/nowhere', PATH: '/nowhere' })
    await started.sees(/systemd was not told that the service is ready: .*ENOENT/)
    expect(started.child.exitCode).toBeNull()
  })
})
