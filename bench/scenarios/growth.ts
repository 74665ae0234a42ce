// What much data costs: a request to a server with many live tokens, applications, accounts or revocations beside one to
// a server with few, in turn; and the start and the memory of both.

import type { ConfigurationInput } from '../../src/config/schema.ts'
import type { Target, Traffic } from '../candidates/candidate.ts'
import { APP, createAccount, NEVISFIDO, startTrimint } from '../candidates/trimint.ts'
import { BWS, CREATE, idscanCheck, LOGIN, REVOKE } from '../candidates/workloads.ts'
import type { BenchEnvironment, StoreKind } from '../environment.ts'
import type { Generator } from '../load/client.ts'
import { compareServers, type Options, sendRequests } from '../measure.ts'
import { formatSpread, formatVerdict, printTable, say, spread } from '../report.ts'

const FILL_TIMEOUT_S = 1_800

/** How much more a request with much data may cost. */
const COST_TARGET = 1.33
const START_TARGET_S = 2

interface Growth {
  readonly title: string
  readonly counts: readonly [few: number, many: number]
  /** SQLite by default. */
  readonly store?: StoreKind
  readonly traffic: Traffic
  /** The sections of the configuration that hold the data. */
  configure?(count: number): Partial<ConfigurationInput> | Promise<Partial<ConfigurationInput>>
  /** Stores the data through the API. */
  fill?(generator: Generator, target: Target, count: number): Promise<unknown>
}

const live = (store: StoreKind, many: number): Growth => ({
  title: `live tokens, ${store}`,
  counts: [1_000, many],
  store,
  traffic: { requests: CREATE },
  configure: () => ({ nevisfido: { ...NEVISFIDO, tokenLifetime: '1d' } }),
  fill: (generator, target, count) => sendRequests(generator, target, CREATE, count, FILL_TIMEOUT_S),
})

const createGrowths = (tokens: number): Growth[] => [
  live('sqlite', tokens),
  live('redis', tokens),
  live('postgres', tokens),
  {
    title: 'applications, BWS token',
    counts: [10, 10_000],
    traffic: { requests: BWS },
    configure: (count) => ({ bws: { apps: repeat(count, APP, (index) => ({ id: `shop-${index}` })) } }),
  },
  {
    title: 'accounts, IDscan login',
    counts: [10, 10_000],
    traffic: { requests: LOGIN },
    async configure(count) {
      const account = await createAccount()
      return { idscan: { accounts: repeat(count, account, (index) => ({ username: `anna-${index}` })) } }
    },
  },
  {
    title: 'revocations, gateway check',
    counts: [1_000, 100_000],
    traffic: idscanCheck,
    async fill(generator, target, count) {
      await sendRequests(generator, target, LOGIN, count, FILL_TIMEOUT_S)
      await sendRequests(generator, target, REVOKE, count, FILL_TIMEOUT_S)
    },
  },
]

/** Returns the item, and variants of it, so many in all. */
function repeat<Item extends object>(count: number, item: Item, vary: (index: number) => Partial<Item>): Item[] {
  return [item, ...Array.from({ length: count - 1 }, (_, index) => ({ ...item, ...vary(index) }))]
}

export async function runGrowth(environment: BenchEnvironment, options: Options): Promise<void> {
  const rows: string[][] = []
  for (const growth of createGrowths(options.tokens)) rows.push(await compare(environment, growth, options))
  const head = ['growth', 'few', 'many', 'cost, ratio', 'least to most', 'target', '']
  printTable([...head, 'start, s', 'target', '', 'memory, KB for a thousand'], rows)
}

async function compare(environment: BenchEnvironment, growth: Growth, options: Options): Promise<string[]> {
  const { title } = growth
  const [few, many] = growth.counts
  const memoryMb: number[] = []
  let startS = 0
  const startWith = (count: number) => async () => {
    say(`growth: ${title}, ${count}`)
    const target = await startFilled(environment, growth, count)
    memoryMb.push(target.server.usage().residentMb)
    startS = target.server.startMs / 1e3
    return target
  }
  const starts = [startWith(few), startWith(many)] as const
  const pairs = await compareServers(environment.generator, starts, { ...options, workers: 1 })
  const cost = spread(pairs.map(([small, large]) => small.rate / large.rate))
  const [fewMb = 0, manyMb = 0] = memoryMb
  return [
    title,
    String(few),
    String(many),
    ...formatSpread(cost),
    ...formatVerdict(cost.median, { atMost: COST_TARGET }),
    startS.toFixed(2),
    ...formatVerdict(startS, { atMost: START_TARGET_S }),
    ((1e3 * (manyMb - fewMb)) / ((many - few) / 1e3)).toFixed(0),
  ]
}

/** Starts Trimint with that much data. Another process stored it, so that both compared ones start cold. */
async function startFilled(
  environment: BenchEnvironment,
  { store = 'sqlite', traffic, configure, fill }: Growth,
  count: number,
): Promise<Target> {
  const place = environment.place('growth')
  const url = await environment.openStore(store, place.folder)
  const options = { ...place, store: url, sections: await configure?.(count) }
  if (fill) {
    const target = await startTrimint(options, traffic)
    await using _server = target.server
    await fill(environment.generator, target, count)
  }
  return startTrimint(options, traffic)
}
