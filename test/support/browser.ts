import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'
import { expect } from 'vitest'
import { findProgram } from './programs.ts'

/** Keeps Chromium from sending requests by itself, and resolves no host names: it reaches only this machine. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
]

export interface StartedBrowser extends AsyncDisposable {
  readonly context: BrowserContext
}

/** Starts Chromium, headless and with a new profile. */
export async function startBrowser(): Promise<StartedBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-browser-'))
  const executablePath = findProgram('chromium')
  if (!executablePath) throw new Error('chromium is missing')
  const context = await chromium.launchPersistentContext(folder, { executablePath, headless: true, args: ARGUMENTS })
  // Pages load slowly on a busy machine.
  context.setDefaultTimeout(60_000)
  return {
    context,
    async [Symbol.asyncDispose]() {
      await context.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/**
 * Polls a page as `expect.poll` does, but less often: each look takes 3 ms of processor time, here and in Chromium.
 */
export const pollPage = <Seen>(look: () => Seen | Promise<Seen>) =>
  expect.poll(look, { interval: 100, timeout: 40_000 })
