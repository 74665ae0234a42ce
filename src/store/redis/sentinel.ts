import type { RedisAddress } from '../../core/ports/redis-url.ts'
import { formatServer, type HostAndPort } from '../../core/ports/server-list.ts'
import { askServer, askServers, describeFailure } from './ask-servers.ts'
import type { RedisClient } from './client.ts'
import { NotPrimaryError } from './primary.ts'
import { RefusedError } from './refusal.ts'
import type { RedisServer } from './server.ts'

/** Finds the primary, and describes what could not be asked for it. */
export interface PrimarySearch {
  readonly find: () => Promise<HostAndPort>
  readonly warnings: () => Promise<string[]>
}

/** Returns how to connect to a Sentinel, with or without the credentials of the URL. */
export type ToSentinel = (sentinel: HostAndPort, withCredentials: boolean) => Promise<RedisServer>

interface Answer {
  /** Undefined where the Sentinel does not know the name. */
  readonly primary: HostAndPort | undefined
  /** The server that this Sentinel is replacing at the moment. */
  readonly replaced: HostAndPort | undefined
}

/**
 * Creates a search that asks all Sentinels. Only an address that more than half of them name is the primary's: a
 * Sentinel that is cut off from the others names the old one. A server that one of them is replacing is none: it may
 * run again while one of its replicas is being promoted, and the others would still confirm its writes.
 */
export function createSentinelSearch(
  { servers: sentinels, primaryName }: Pick<RedisAddress, 'servers' | 'primaryName'>,
  toSentinel: ToSentinel,
): PrimarySearch {
  async function readAnswer(client: RedisClient): Promise<Answer> {
    const address = await client.sendCommand<[string, string] | null>([
      'SENTINEL',
      'GET-MASTER-ADDR-BY-NAME',
      primaryName,
    ])
    if (!address) return { primary: undefined, replaced: undefined }
    const state = await client.sendCommand<Record<'ip' | 'port' | 'flags', string>>(['SENTINEL', 'MASTER', primaryName])
    const isReplacing = state.flags.includes('failover_in_progress')
    return {
      primary: { host: address[0], port: Number(address[1]) },
      // The former address, also once the Sentinel names the new one.
      replaced: isReplacing ? { host: state.ip, port: Number(state.port) } : undefined,
    }
  }

  async function ask(sentinel: HostAndPort): Promise<Answer> {
    try {
      return await askServer(await toSentinel(sentinel, false), readAnswer)
    } catch (error) {
      // Sentinels without a password reject credentials.
      if (!(error instanceof Error && /^NOAUTH\b/.test(error.message))) throw error
      return askServer(await toSentinel(sentinel, true), readAnswer)
    }
  }

  return {
    async find() {
      const answers = await askServers(sentinels, ask)
      const votes = new Map<string, number>()
      const replaced = answers.found.map(({ replaced: server }) => server && formatServer(server))
      for (const { primary: server } of answers.found) {
        const name = server ? formatServer(server) : ''
        const count = (votes.get(name) ?? 0) + 1
        votes.set(name, count)
        if (count * 2 <= sentinels.length) continue
        if (replaced.includes(name)) throw new NotPrimaryError('the Sentinels are replacing the primary')
        if (server) return server
        throw new RefusedError(`the Sentinels know no primary with the name ${primaryName}`)
      }
      const named = [...votes].map(([name, count]) => `${count} of ${sentinels.length}: ${name || 'none'}`).join(', ')
      throw describeFailure(`no primary that most Sentinels name${named && `; ${named}`}`, answers)
    },
    warnings: async () => (await askServers(sentinels, ask)).failures.map((failure) => `Sentinel ${failure}`),
  }
}
