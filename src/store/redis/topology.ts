import { readFile } from 'node:fs/promises'
import type { RedisAddress } from '../../core/ports/redis-url.ts'
import { formatServer, type HostAndPort } from '../../core/ports/server-list.ts'
import { CLUSTER_KEY_PREFIX, createClusterSearch } from './cluster.ts'
import { createSentinelSearch, type PrimarySearch } from './sentinel.ts'
import type { FindPrimary, RedisServer } from './server.ts'

/** Where the servers are, and which of them accepts writes. */
export interface Topology {
  /** Finds it anew. */
  readonly find: FindPrimary
  /**
   * Finds it, or returns an answer that is at most a second old. Undefined where only one server is known: its role
   * tells enough.
   */
  readonly watch?: FindPrimary
  /** Precedes the name of each key. */
  readonly keyPrefix: string
  /** Returns a sentence for each server of the URL that did not answer when it was asked for the primary. */
  readonly warnings: () => Promise<string[]>
}

const MAX_ANSWER_AGE_MS = 900

/** Returns the topology that a URL describes. The file of certificates is read again for each connection. */
export function createTopology(address: RedisAddress): Topology {
  const { topology, servers, user, password, database, hasTls, caPath } = address
  const credentials = user || password ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : ''

  async function toServer(server: HostAndPort, login = credentials, number = database): Promise<RedisServer> {
    const url = `${hasTls ? 'rediss' : 'redis'}://${login}${formatServer(server)}/${number}`
    return caPath === undefined ? { url } : { url, ca: await readFile(caPath, 'utf8') }
  }

  function searched({ find, warnings }: PrimarySearch, keyPrefix: string): Topology {
    const search = shareAnswers(async () => toServer(await find()))
    return { ...search, keyPrefix, warnings }
  }

  switch (topology) {
    case 'single': {
      const [server] = servers as readonly [HostAndPort]
      return { find: () => toServer(server), keyPrefix: '', warnings: async () => [] }
    }
    case 'sentinel':
      return searched(
        createSentinelSearch(address, (sentinel, withCredentials) =>
          toServer(sentinel, withCredentials ? credentials : '', 0),
        ),
        '',
      )
    case 'cluster':
      return searched(
        createClusterSearch(servers, (node) => toServer(node)),
        CLUSTER_KEY_PREFIX,
      )
  }
}

/** Shares a search that is running, and its answer, between the connections of a process. */
function shareAnswers(search: FindPrimary): { find: FindPrimary; watch: FindPrimary } {
  let running: Promise<RedisServer> | undefined
  let recent: Promise<RedisServer> | undefined

  function find(): Promise<RedisServer> {
    if (running) return running
    const answer = search().finally(() => {
      running = undefined
    })
    running = answer
    recent = answer
    setTimeout(() => {
      if (recent === answer) recent = undefined
    }, MAX_ANSWER_AGE_MS).unref()
    return answer
  }

  return { find, watch: () => recent ?? find() }
}
