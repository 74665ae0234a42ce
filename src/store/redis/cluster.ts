import { formatServer, type HostAndPort } from '../../core/ports/server-list.ts'
import { askServer, askServers, describeFailure } from './ask-servers.ts'
import { NotPrimaryError } from './primary.ts'
import type { PrimarySearch } from './sentinel.ts'
import type { RedisServer } from './server.ts'

/**
 * Precedes each key in a Cluster. All keys are in one slot, and so on one node: redeeming a token and deleting
 * registered keys is one step, and a Cluster has no steps that concern several slots.
 */
export const CLUSTER_KEY_PREFIX = '{trimint}'

/** CRC16 of `trimint` modulo 16,384 (redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec). */
export const SLOT = 2_371

/** Each process asks once a second, and a Cluster may have hundreds of nodes. */
const MAX_ASKED = 5

interface Claim {
  readonly owner: HostAndPort | undefined
  /** The greater one is the later one. */
  readonly epoch: number
  /** Whether most nodes that own slots agreed that this owner has failed. Its replicas then elect another one. */
  readonly isFailed: boolean
  readonly nodes: readonly HostAndPort[]
}

/**
 * Creates a search that asks the owner that it has found last, and five nodes of those of the URL and those that it has
 * learnt from them, others each time. After a fail-over, nodes may disagree for some time: the owner with the greatest
 * epoch is the latest. An owner that failed is not used while one of the nodes knows it as failed: it may run again while
 * one of its replicas is being elected, and the others would still confirm its writes.
 */
export function createClusterSearch(
  seeds: readonly HostAndPort[],
  toServer: (node: HostAndPort) => Promise<RedisServer>,
): PrimarySearch {
  let owner: HostAndPort | undefined
  let learnt: readonly HostAndPort[] = []
  let searches = 0

  async function ask(node: HostAndPort): Promise<Claim> {
    const text = await askServer(await toServer(node), (client) => client.sendCommand(['CLUSTER', 'NODES']))
    return readNodes(String(text), node)
  }

  return {
    async find() {
      const nodes = distinct([...seeds, ...learnt])
      const start = (searches * MAX_ASKED) % nodes.length
      searches += 1
      const others = [...nodes.slice(start), ...nodes.slice(0, start)].slice(0, MAX_ASKED)
      const answers = await askServers(distinct(owner ? [owner, ...others] : others), ask)
      const [best] = answers.found.filter(({ owner }) => owner).toSorted((a, b) => b.epoch - a.epoch)
      if (!best?.owner) throw describeFailure(`no node of the Cluster has slot ${SLOT}`, answers)
      const name = formatServer(best.owner)
      learnt = best.nodes
      owner = best.owner
      if (answers.found.some(({ owner, isFailed }) => isFailed && owner && formatServer(owner) === name)) {
        throw new NotPrimaryError(`the Cluster is replacing the owner of slot ${SLOT}`)
      }
      return owner
    },
    warnings: async () => (await askServers(seeds, ask)).failures.map((failure) => `node ${failure}`),
  }
}

function distinct(nodes: readonly HostAndPort[]): HostAndPort[] {
  return [...new Map(nodes.map((node) => [formatServer(node), node])).values()]
}

/**
 * Reads the answer to CLUSTER NODES (redis.io/docs/latest/commands/cluster-nodes).
 *
 * @param asked the node that answered. It may not know its own address.
 */
export function readNodes(text: string, asked: HostAndPort): Claim {
  let claim: Omit<Claim, 'nodes'> = { owner: undefined, epoch: 0, isFailed: false }
  const nodes: HostAndPort[] = []
  for (const line of text.split('\n')) {
    const [, address = '', flags = '', , , , epoch = '', , ...slots] = line.split(' ')
    // ip:port@busPort, and in Redis 7 a comma and the name that the node announces
    const [, ip = '', port = '0', name] = /^(.*):([0-9]+)@[0-9]+(?:,([^,]*))?/.exec(address) ?? []
    if (port === '0' || flags.includes('noaddr')) continue
    const node = { host: name || ip || asked.host, port: Number(port) }
    nodes.push(node)
    if (!slots.some(includesSlot)) continue
    // `fail?` is the suspicion of one node.
    claim = { owner: node, epoch: Number(epoch), isFailed: flags.split(',').includes('fail') }
  }
  return { ...claim, nodes }
}

/** Tells whether `0-5460` or `2371` includes {@link SLOT}. `[2371->-id]` describes one that is being moved. */
function includesSlot(range: string): boolean {
  const [, first, last = first] = /^([0-9]+)(?:-([0-9]+))?$/.exec(range) ?? []
  return first !== undefined && Number(first) <= SLOT && SLOT <= Number(last)
}
