import { expect, test } from 'vitest'
import type { HostAndPort } from '../../../src/core/ports/server-list.ts'
import { createClusterSearch, readNodes, SLOT } from '../../../src/store/redis/cluster.ts'
import { NotPrimaryError } from '../../../src/store/redis/primary.ts'
import { type RedisStandIn, startRedisStandIn } from '../../support/redis-stand-in.ts'

// The search for the owner of the slot, with nodes that disagree, as those of a Cluster do for a moment.

/** One line of CLUSTER NODES. */
function line(port: number, epoch: number, slots: string, flags = 'master'): string {
  return `07c3 127.0.0.1:${port}@1 ${flags} - 0 0 ${epoch} connected ${slots}\n`
}

type Answer = string | Error

/** Starts nodes, and a search that knows the first ones. `answers` is read for each question. */
async function startSearch(stack: AsyncDisposableStack, count: number, known: number, answers: () => Answer[]) {
  const nodes: RedisStandIn[] = []
  for (let at = 0; at < count; at++) nodes.push(stack.use(await startRedisStandIn(() => answers()[at])))
  const seeds: HostAndPort[] = nodes.slice(0, known).map(({ host, port }) => ({ host, port }))
  const search = createClusterSearch(seeds, async ({ host, port }) => ({ url: `redis://${host}:${port}/0` }))
  const ports = nodes.map(({ port }) => port)
  const asked = () => nodes.map(({ received }) => received.length)
  return { search, nodes, ports, asked }
}

/** Like a port, but no server listens on it. */
const [FIRST, SECOND] = [1, 2]

const server = (port: number) => ({ host: '127.0.0.1', port })

test('finds the owner of the slot', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, nodes } = await startSearch(stack, 1, 1, () => [line(FIRST, 1, '0-5460') + line(SECOND, 2, '5461-9')])
  expect(await search.find()).toEqual(server(FIRST))
  expect(nodes[0]?.received).toEqual([['CLUSTER', 'NODES']])
})

test.each([
  ['first', [3, 2]],
  ['last', [2, 3]],
] as const)('believes the node that names the owner with the greatest epoch: the %s', async (_, epochs) => {
  await using stack = new AsyncDisposableStack()
  const answers = epochs.map((epoch) => line(epoch, epoch, '0-16383'))
  const { search } = await startSearch(stack, 2, 2, () => answers)
  expect(await search.find()).toEqual(server(3))
})

test('uses what other nodes say where one fails or knows no owner', async () => {
  await using stack = new AsyncDisposableStack()
  // Without an owner, the epoch is 0.
  const answers = [new Error('ERR away'), line(9, 9, '0-10'), line(FIRST, 0, '0-16383')]
  const { search } = await startSearch(stack, 3, 3, () => answers)
  expect(await search.find()).toEqual(server(FIRST))
})

test('finds none where no node knows an owner, and says why', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, ports } = await startSearch(stack, 2, 2, () => [new Error('ERR away'), line(FIRST, 1, '0-10')])
  await expect(search.find()).rejects.toThrow(
    new Error(`no node of the Cluster has slot ${SLOT} (127.0.0.1:${ports[0]}: ERR away)`),
  )
})

test('finds none while one node knows the owner as failed, and the owner again once none does', async () => {
  await using stack = new AsyncDisposableStack()
  const failed = line(FIRST, 1, '0-16383', 'master,fail')
  let answers = [line(FIRST, 1, '0-16383'), failed]
  const { search } = await startSearch(stack, 2, 2, () => answers)
  const error = await search.find().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(NotPrimaryError)
  expect(error).toEqual(expect.objectContaining({ message: `the Cluster is replacing the owner of slot ${SLOT}` }))
  answers = [answers[0] ?? '', answers[0] ?? '']
  expect(await search.find()).toEqual(server(FIRST))
})

test('finds the new owner although a node knows the old one as failed, or one without slots', async () => {
  await using stack = new AsyncDisposableStack()
  const answers = [
    line(FIRST, 1, '0-16383', 'master,fail'),
    line(SECOND, 2, '0-16383') + line(FIRST, 1, '', 'master,fail'),
    line(SECOND, 1, '0-10', 'master,fail'),
  ]
  const { search } = await startSearch(stack, 3, 3, () => answers)
  expect(await search.find()).toEqual(server(SECOND))
})

test('asks five nodes at a time, others each time, and the owner', async () => {
  await using stack = new AsyncDisposableStack()
  let answers: string[] = []
  const { search, ports, asked } = await startSearch(stack, 8, 7, () => answers)
  answers = Array.from({ length: 8 }, () => line(ports[7] ?? 0, 1, '0-16383'))
  await search.find()
  expect(asked()).toEqual([1, 1, 1, 1, 1, 0, 0, 0])
  await search.find()
  // From here on, the owner is one of the nodes that are known too.
  expect(asked()).toEqual([2, 2, 1, 1, 1, 1, 1, 1])
})

test('asks nodes that it has learnt from others, each once', async () => {
  await using stack = new AsyncDisposableStack()
  let answers: string[] = []
  const { search, ports, asked } = await startSearch(stack, 3, 1, () => answers)
  const all = ports.map((port, at) => line(port, 1, at === 0 ? '0-16383' : '')).join('')
  answers = [all, all, all]
  await search.find()
  expect(asked()).toEqual([1, 0, 0])
  await search.find()
  expect(asked()).toEqual([2, 1, 1])
})

test('forgets nodes that have left the Cluster', async () => {
  await using stack = new AsyncDisposableStack()
  let answers: string[] = []
  const { search, ports, asked } = await startSearch(stack, 2, 1, () => answers)
  const [seed = 0, other = 0] = ports
  answers = Array(2).fill(line(seed, 1, '0-16383') + line(other, 1, ''))
  await search.find()
  answers = Array(2).fill(line(seed, 1, '0-16383'))
  await search.find()
  await search.find()
  expect(asked()).toEqual([3, 1])
})

test('warns about each node of the URL that fails', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, ports } = await startSearch(stack, 2, 2, () => [new Error('ERR away'), line(FIRST, 1, '0-16383')])
  expect(await search.warnings()).toEqual([`node 127.0.0.1:${ports[0]}: ERR away`])
})

const ASKED = { host: 'asked', port: 1 }

const NODES = `\
07c3 10.0.0.1:6379@16379,redis-1,shard-id=1 master - 0 1426238316232 2 connected 0-5460 [2371->-67ed]
67ed 10.0.0.2:6379@16379 myself,master - 0 0 3 connected 5461-16383
292f 10.0.0.3:6379@16379 slave 67ed 0 1426238316232 3 disconnected
6ec2 :0@0 master,noaddr - 1426238316232 1426238316232 1 disconnected
d1d1 10.0.0.4:6379@16379 master,noaddr - 1426238316232 1426238316232 1 disconnected
`

test.each([
  ['a node that announces a name', NODES, { host: 'redis-1', port: 6_379 }, 2],
  ['a single slot', NODES.replace('0-5460', '1 2371'), { host: 'redis-1', port: 6_379 }, 2],
  ['the first slot of a range', NODES.replace('0-5460', '2371-5460'), { host: 'redis-1', port: 6_379 }, 2],
  ['the last slot of a range', NODES.replace('0-5460', '0-2371'), { host: 'redis-1', port: 6_379 }, 2],
  [
    'a node that does not know its address',
    'a :7000@17000 myself,master - 0 0 5 connected 0-16383',
    { host: 'asked', port: 7_000 },
    5,
  ],
  ['IPv6', 'a ::1:7000@17000 myself,master - 0 0 5 connected 0-16383', { host: '::1', port: 7_000 }, 5],
  ['no owner', NODES.replace('0-5460', '0-2370 2372-5460'), undefined, 0],
  ['a slot that is being moved here', NODES.replace('0-5460', '0-10 [2371-<-67ed]'), undefined, 0],
  ['nothing', '', undefined, 0],
  ['lines that are no nodes', 'a\nb c\n\n', undefined, 0],
  ['slots of other lengths', NODES.replace('0-5460', '2371x x2371 2371-5460x'), undefined, 0],
])('reads the owner of the slot from CLUSTER NODES: %s', (_, text, owner, epoch) => {
  expect(readNodes(text, ASKED)).toMatchObject({ owner, epoch, isFailed: false })
})

test.each([
  ['fail', true],
  ['fail?', false],
])('reads from CLUSTER NODES that an owner with the flag %s has failed: %s', (flag, isFailed) => {
  const text = NODES.replace(' master - 0 1426238316232 2', ` master,${flag} - 0 1426238316232 2`)
  expect(readNodes(text, ASKED)).toMatchObject({ isFailed })
})

test('reads every node that has an address from CLUSTER NODES', () => {
  expect(readNodes(NODES, ASKED).nodes).toEqual([
    { host: 'redis-1', port: 6_379 },
    { host: '10.0.0.2', port: 6_379 },
    { host: '10.0.0.3', port: 6_379 },
  ])
})
