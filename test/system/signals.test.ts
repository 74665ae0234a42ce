import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { startProcess } from '../support/process.ts'
import { programWords } from '../support/program.ts'

const TIMEOUT = 180_000
const PATIENT = { timeout: 60_000, interval: 5 }

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)

/** Returns the sockets of a process: a debugger's port is one more. */
const socketsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`)
      return target.startsWith('socket:') ? [target] : []
    } catch {
      return []
    }
  })

describe.skipIf(process.platform !== 'linux')('SIGUSR1', { timeout: TIMEOUT }, () => {
  test.each([1, 2])('opens no port for debuggers in any process, with WORKERS=%s', async (workers) => {
    await using started = await startProcess({ WORKERS: String(workers) })
    const [, url = ''] = await started.sees(/server\.listening.*"url":"(http:[^"]+)"/)
    const pid = started.child.pid ?? 0
    const processes = [pid, ...childrenOf(pid)]
    const before = processes.map(socketsOf)
    for (const one of processes) process.kill(one, 'SIGUSR1')
    await sleep(1_000)
    expect(started.err()).not.toContain('Debugger listening')
    expect(processes.map(socketsOf)).toEqual(before)
    expect((await fetch(`${url}/healthz`, { headers: { connection: 'close' } })).status).toBe(200)
  })
})

/** Whether this user may create process namespaces. */
function canUnshare(): boolean {
  try {
    execFileSync('unshare', ['--pid', '--fork', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!canUnshare())('as process 1 of a container', { timeout: TIMEOUT }, () => {
  /** The first bit is SIGHUP, the first signal that signals.ts handles. Node itself handles SIGTERM before. */
  const handlesSignals = (pid: number): boolean =>
    (Number.parseInt(
      /^SigCgt:\s+[\da-f]*([\da-f])$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0',
      16,
    ) &
      1) ===
    1

  test.each([1, 2])('ends on a SIGTERM received before it listens, with WORKERS=%s', async (workers) => {
    const folder = mkdtempSync(join(tmpdir(), 'trimint-signals-'))
    const { PATH = '', HOME = '' } = process.env
    const env = { PATH, HOME, PORT: '0', WORKERS: String(workers) }
    const words = ['--pid', '--fork', '--kill-child', process.execPath, ...(await programWords())]
    const child = spawn('unshare', words, { cwd: folder, env, stdio: 'ignore' })
    const exited = once(child, 'exit')
    try {
      const initOf = (): number => childrenOf(child.pid ?? 0)[0] ?? 0
      await expect.poll(() => initOf() > 0 && handlesSignals(initOf()), PATIENT).toBe(true)
      process.kill(initOf(), 'SIGTERM')
      expect(await Promise.race([exited, sleep(90_000)])).toEqual([0, null])
    } finally {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
