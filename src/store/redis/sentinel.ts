import type { RedisAddress } from '../../core/ports/redis-url.ts'
import { formatServer, type HostAndPort } from '../../core/ports/server-list.ts'
import { askServer, askServers, describeFailure } from './ask-servers.ts'
import { RefusedError } from './refusal.ts'
import type { RedisServer } from './server.ts'

/** Finds the primary, and describes what could not be asked for it. */
export interface PrimarySearch {
  readonly find: () => Promise<HostAndPort>
  readonly warnings: () => Promise<string[]>
}

/** Returns how to connect to a Sentinel, with or without the credentials of the URL. */
export type ToSentinel = (sentinel: HostAndPort, withCredentials: boolean) => Promise<RedisServer>

/**
 * Creates a search that asks all Sentinels. Only an address that more than half of them name is the primary's: a
 * Sentinel that is cut off from the others names the old one.
 */
export function createSentinelSearch(
  { servers: sentinels, primaryName }: RedisAddress,
  toSentinel: ToSentinel,
): PrimarySearch {
  const question = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName]

  /** Resolves to undefined where the Sentinel does not know the name. */
  async function ask(sentinel: HostAndPort): Promise<HostAndPort | undefined> {
    const answer = (await send(sentinel)) as [string, string] | null
    return answer ? { host: answer[0], port: Number(answer[1]) } : undefined
  }

  async function send(sentinel: HostAndPort): Promise<unknown> {
    try {
      return await askServer(await toSentinel(sentinel, false), question)
    } catch (error) {
      // Sentinels without a password reject credentials.
      if (!(error instanceof Error && /^NOAUTH\b/.test(error.message))) throw error
      return askServer(await toSentinel(sentinel, true), question)
    }
  }

  return {
    async find() {
      const answers = await askServers(sentinels, ask)
      const votes = new Map<string, number>()
      for (const server of answers.found) {
        const name = server ? formatServer(server) : ''
        const count = (votes.get(name) ?? 0) + 1
        votes.set(name, count)
        if (count * 2 <= sentinels.length) continue
        if (server) return server
        throw new RefusedError(`the Sentinels know no primary with the name ${primaryName}`)
      }
      const named = [...votes].map(([name, count]) => `${count} of ${sentinels.length}: ${name || 'none'}`).join(', ')
      throw describeFailure(`no primary that most Sentinels name${named && `; ${named}`}`, answers)
    },
    warnings: async () => (await askServers(sentinels, ask)).failures.map((failure) => `Sentinel ${failure}`),
  }
}
