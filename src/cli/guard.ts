import { isIPv6 } from 'node:net'
import { InvalidArgumentError } from 'commander'
import { clientNetwork } from '../core/address.ts'
import { isBlock } from '../core/guard-scopes.ts'
import { CommandError, type CommandIo, printable } from './io.ts'
import { warnIfUnserved, withStores } from './store.ts'

const LIST_LIMITS = { blocks: 100_000, counts: 10_000 }

/** Prints the counts of the guard: failures, when they expire, and whether they are a block. */
export async function listGuard(io: CommandIo): Promise<void> {
  await withStores(io, async (stores, { guard }) => {
    const { failures } = stores
    await warnIfUnserved(io, stores)
    const counts = await failures.list(io.clock(), LIST_LIMITS)
    for (const count of counts.toSorted((one, other) => other.failures - one.failures)) {
      const state = guard && isBlock(count, guard) ? 'blocked until' : 'counted until'
      io.stdout.write(
        `${new Date(count.expires).toISOString()}  ${count.failures}  ${state}  ${printable(count.key)}\n`,
      )
    }
  })
}

export interface LiftOptions {
  readonly account?: string
  /** A network, as {@link parseNetwork} returns it. */
  readonly address?: string
  readonly all?: true
}

/** Removes counts, and with them blocks. Takes effect in every process within a second. */
export async function liftGuard(io: CommandIo, { account, address, all }: LiftOptions): Promise<void> {
  if (!account && !address && !all)
    throw new CommandError('nothing to lift; expected --account, --address, both, or --all')
  await withStores(io, async (stores) => {
    const { failures } = stores
    await warnIfUnserved(io, stores)
    const from = address && ` from ${address}`
    const fits = (key: string): boolean => {
      if (all) return true
      if (account) return from ? key === `account ${account}${from}` : key.startsWith(`account ${account} from `)
      return key === `address ${address}` || key.endsWith(from ?? '')
    }
    const counts = await failures.list(io.clock(), LIST_LIMITS)
    const lifted = counts.filter(({ key }) => fits(key))
    for (const { key } of lifted) {
      await failures.remove(key, Number.MAX_SAFE_INTEGER)
      io.stdout.write(`lifted  ${printable(key)}\n`)
    }
    if (lifted.length === 0) throw new CommandError('nothing lifted: no such count; see trimint guard list')
  })
}

/** The prefix of the IPv6 networks that the guard counts. */
const IPV6_PREFIX = '/64'

/**
 * Returns the network under which the guard counts an address. Also accepts a network as `trimint guard list` prints
 * it.
 *
 * @throws InvalidArgumentError for other text: a usage error.
 */
export function parseNetwork(text: string): string {
  const isNetwork = text.endsWith(IPV6_PREFIX) && isIPv6(text.slice(0, -IPV6_PREFIX.length))
  const network = clientNetwork(isNetwork ? text.slice(0, -IPV6_PREFIX.length) : text)
  // The guard counts all invalid addresses under one name, so an invalid address returns that name.
  if (network !== text && network === clientNetwork(undefined)) {
    throw new InvalidArgumentError('Expected an address, or a network as trimint guard list prints it.')
  }
  return network
}
