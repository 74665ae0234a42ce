import { callerNetwork } from '../core/address.ts'
import { isBlock } from '../core/guard.ts'
import type { FailureStore } from '../store/failure-store.ts'
import { openFailureStore } from '../store/open.ts'
import { environmentOf, formatFaults, loadAsServer } from './configuration.ts'
import { CommandFailure, type CommandIo } from './io.ts'

/** How many counts are shown at most. */
const MOST = 10_000

/** Shows what the guard counts: failures, until when, and whether that is a block. */
export async function listGuard(io: CommandIo): Promise<void> {
  await withStore(io, async (store, settings) => {
    for (const count of await store.list(io.clock(), MOST)) {
      const state = settings && isBlock(count, settings) ? 'blocked until' : 'counted until'
      io.stdout.write(`${new Date(count.expires).toISOString()}  ${count.failures}  ${state}  ${count.key}\n`)
    }
  })
}

export interface LiftOptions {
  readonly account?: string
  readonly address?: string
  readonly all?: true
}

/** Forgets failures, and with them a block. In force in every process within a second. */
export async function liftGuard(io: CommandIo, { account, address, all }: LiftOptions): Promise<void> {
  if (!account && !address && !all) throw new CommandFailure('say what to lift: --account, --address, both, or --all')
  await withStore(io, async (store) => {
    const from = address && ` from ${callerNetwork(address)}`
    const fits = (key: string): boolean => {
      if (all) return true
      if (account) return from ? key === `account ${account}${from}` : key.startsWith(`account ${account} from `)
      return key === `address ${callerNetwork(address ?? '')}` || key.endsWith(from ?? '')
    }
    const counts = await store.list(io.clock(), MOST)
    const lifted = counts.filter(({ key }) => fits(key))
    for (const { key } of lifted) {
      await store.remove(key, Number.MAX_SAFE_INTEGER)
      io.stdout.write(`lifted  ${key}\n`)
    }
    if (lifted.length === 0) throw new CommandFailure('nothing of that is counted')
  })
}

type Settings = Parameters<typeof isBlock>[1]

async function withStore(
  io: CommandIo,
  use: (store: FailureStore, settings: Settings | false) => Promise<void>,
): Promise<void> {
  const loaded = loadAsServer(io, environmentOf(io))
  if ('faults' in loaded) throw new CommandFailure(formatFaults(loaded.faults))
  const { store: name, guard } = loaded.configuration
  if (name === 'sqlite::memory:')
    throw new CommandFailure('the store is in the memory of the server: a restart lifts everything')
  let store: FailureStore
  try {
    store = await openFailureStore(name, () => undefined)
  } catch (error) {
    throw new CommandFailure(`the store cannot be opened: ${(error as Error).message}`)
  }
  try {
    await use(store, guard)
  } catch (error) {
    if (error instanceof CommandFailure) throw error
    throw new CommandFailure(`the store does not answer: ${(error as Error).message}`)
  } finally {
    await store.close()
  }
}
