import { expect, test } from 'vitest'
import type { HostAndPort } from '../../../src/core/ports/server-list.ts'
import { NotPrimaryError } from '../../../src/store/redis/primary.ts'
import { RefusedError } from '../../../src/store/redis/refusal.ts'
import { createSentinelSearch } from '../../../src/store/redis/sentinel.ts'
import { type RedisStandIn, type Reply, startRedisStandIn } from '../../support/redis-stand-in.ts'

// The search for the primary, with Sentinels that say what real ones say for moments only.

interface Sentinel {
  /** The port of the primary that it names; null where it knows none. */
  readonly primary: number | null
  /** The port of the server that it is replacing. */
  readonly replaced?: number
  /** The password that it requires. */
  readonly password?: string
  /** Fails with this error. */
  readonly failure?: string
}

function answerOf({ primary, replaced, failure }: Sentinel): (words: readonly string[]) => Reply {
  return ([, question, name]) => {
    if (failure) return new Error(failure)
    if (primary === null) return null
    if (name !== 'main') return new Error(`ERR asked for ${name}`)
    if (question === 'GET-MASTER-ADDR-BY-NAME') return ['10.0.0.1', String(primary)]
    const flags = replaced === undefined ? 'master' : 'master,o_down,failover_in_progress'
    return { name, ip: '10.0.0.1', port: String(replaced ?? primary), flags }
  }
}

async function startSearch(stack: AsyncDisposableStack, sentinels: readonly Sentinel[]) {
  const standIns: RedisStandIn[] = []
  for (const sentinel of sentinels) standIns.push(stack.use(await startRedisStandIn(answerOf(sentinel))))
  const servers: HostAndPort[] = standIns.map(({ host, port }) => ({ host, port }))
  const asked: boolean[] = []
  const search = createSentinelSearch({ servers, primaryName: 'main' }, async ({ port }, withLogin) => {
    asked.push(withLogin)
    return { url: `redis://127.0.0.1:${port}/0` }
  })
  return { search, standIns, servers, asked }
}

const primary = (port: number) => ({ host: '10.0.0.1', port })

test.each([
  ['one Sentinel names it', [{ primary: 1 }], 1],
  ['all name it', [{ primary: 1 }, { primary: 1 }, { primary: 1 }], 1],
  ['the last two of three name it', [{ primary: 2 }, { primary: 1 }, { primary: 1 }], 1],
  ['one of three is away', [{ primary: 1 }, { primary: 1 }, { primary: 1, failure: 'ERR away' }], 1],
  ['one does not know the name', [{ primary: null }, { primary: 1 }, { primary: 1 }], 1],
  ['one is replacing another server', [{ primary: 1, replaced: 3 }, { primary: 1 }, { primary: 1 }], 1],
] satisfies [string, Sentinel[], number][])('finds the primary where %s', async (_, sentinels, port) => {
  await using stack = new AsyncDisposableStack()
  const { search } = await startSearch(stack, sentinels)
  expect(await search.find()).toEqual(primary(port))
})

test.each([
  ['two of four name it', [{ primary: 1 }, { primary: 1 }, { primary: 2 }, { primary: 3 }]],
  ['one of two is away', [{ primary: 1 }, { primary: 1, failure: 'ERR away' }]],
  ['one of two does not know the name', [{ primary: null }, { primary: 1 }]],
] satisfies [string, Sentinel[]][])('finds none where only %s', async (_, sentinels) => {
  await using stack = new AsyncDisposableStack()
  const { search } = await startSearch(stack, sentinels)
  await expect(search.find()).rejects.toThrow('no primary that most Sentinels name')
  await expect(search.find()).rejects.not.toBeInstanceOf(RefusedError)
})

test('says which server each Sentinel names, and why one has named none', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, servers } = await startSearch(stack, [
    { primary: 1 },
    { primary: 2 },
    { primary: null },
    { primary: 1, failure: 'ERR away' },
  ])
  await expect(search.find()).rejects.toThrow(
    new Error(
      'no primary that most Sentinels name; 1 of 4: 10.0.0.1:1, 1 of 4: 10.0.0.1:2, 1 of 4: none ' +
        `(127.0.0.1:${servers[3]?.port}: ERR away)`,
    ),
  )
})

test('says why there is no answer where no Sentinel has one', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, servers } = await startSearch(stack, [{ primary: 1, failure: 'ERR away' }])
  await expect(search.find()).rejects.toThrow(
    new Error(`no primary that most Sentinels name (127.0.0.1:${servers[0]?.port}: ERR away)`),
  )
})

test('finds none while one Sentinel is replacing the server that the others name', async () => {
  await using stack = new AsyncDisposableStack()
  const { search } = await startSearch(stack, [{ primary: 2, replaced: 1 }, { primary: 1 }, { primary: 1 }])
  const error = await search.find().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(NotPrimaryError)
  expect(error).toEqual(expect.objectContaining({ message: 'the Sentinels are replacing the primary' }))
})

test('is refused where most Sentinels do not know the name', async () => {
  await using stack = new AsyncDisposableStack()
  const { search } = await startSearch(stack, [{ primary: null }, { primary: 1 }, { primary: null }])
  const error = await search.find().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(RefusedError)
  expect(error).toEqual(expect.objectContaining({ message: 'the Sentinels know no primary with the name main' }))
})

test('sends no credentials, and then those of the URL where the Sentinel requires them', async () => {
  await using stack = new AsyncDisposableStack()
  const failing = { primary: 1, failure: 'NOAUTH Authentication required.' }
  const { search, asked, servers } = await startSearch(stack, [failing])
  const error = await search.find().catch((reason: unknown) => reason)
  expect(asked).toEqual([false, true])
  expect(error).toBeInstanceOf(RefusedError)
  expect(error).toEqual(expect.objectContaining({ message: expect.stringContaining(`${servers[0]?.port}: NOAUTH`) }))
})

test.each(['ERR it said NOAUTH', 'NOAUTHORITY'])('does not send credentials after %s', async (failure) => {
  await using stack = new AsyncDisposableStack()
  const { search, asked } = await startSearch(stack, [{ primary: 1, failure }])
  await expect(search.find()).rejects.toThrow(failure)
  expect(asked).toEqual([false])
})

test('warns about each Sentinel that fails', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, servers } = await startSearch(stack, [{ primary: 1 }, { primary: 1, failure: 'ERR away' }])
  expect(await search.warnings()).toEqual([`Sentinel 127.0.0.1:${servers[1]?.port}: ERR away`])
})

test('leaves no connection open', async () => {
  await using stack = new AsyncDisposableStack()
  const { search, standIns } = await startSearch(stack, [{ primary: 1 }, { primary: 1 }])
  await search.find()
  await expect.poll(() => standIns.map((standIn) => standIn.connections())).toEqual([0, 0])
})
