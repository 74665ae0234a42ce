// What much data costs: a request to a server with many live tokens, applications, accounts or revocations beside one to
// a server with few, in turn; and the start and the memory of both.

import { join } from 'node:path'
import type { ConfigurationInput } from '../../src/config/schema.ts'
import type { Target } from '../candidates/candidate.ts'
import { APP, createAccount, NEVISFIDO, startTrimintProcess } from '../candidates/trimint.ts'
import {
  BWS,
  CREATE,
  idscanCheck,
  LOGIN,
  openStoreUrl,
  REVOKE,
  type StoreKind,
  type Traffic,
} from '../candidates/workloads.ts'
import { formatRange, formatVerdict, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import { collectTokens, measureInTurn, measureStretch, prepare, type Repetition } from '../measure.ts'
import { spread } from '../statistics.ts'

const FILL_TIMEOUT_S = 1_800
const WARM_UP_S = 3
/** Answers of a stretch, at most: where a request needs a token, so many are collected. */
const ANSWERS_A_SECOND = 20_000

/** How much more a request with much data may cost. */
const COST_TARGET = 4 / 3
const START_TARGET_S = 2

export interface GrowthOptions extends Repetition {
  readonly tokens: number
}

interface Growth {
  readonly title: string
  readonly few: number
  readonly many: number
  readonly store: StoreKind
  readonly traffic: Traffic
  /** The sections of the configuration that hold the data. */
  configure?(count: number): Partial<ConfigurationInput> | Promise<Partial<ConfigurationInput>>
  /** Stores the data through the API. */
  fill?(environment: BenchEnvironment, target: Target, count: number): Promise<unknown>
}

const live = (store: StoreKind, many: number): Growth => ({
  title: `live tokens, ${store}`,
  few: 1_000,
  many,
  store,
  traffic: { requests: CREATE },
  configure: () => ({ nevisfido: { ...NEVISFIDO, tokenLifetime: '1d' } }),
  fill: ({ generator }, target, count) => collectTokens(generator, target, count, FILL_TIMEOUT_S),
})

const GROWTHS: readonly Growth[] = [
  {
    title: 'applications, BWS token',
    few: 10,
    many: 10_000,
    store: 'sqlite',
    traffic: { requests: BWS },
    configure: (count) => ({ bws: { apps: repeat(count, APP, (index) => ({ id: `shop-${index}` })) } }),
  },
  {
    title: 'accounts, IDscan login',
    few: 10,
    many: 10_000,
    store: 'sqlite',
    traffic: { requests: LOGIN },
    async configure(count) {
      const account = await createAccount()
      return { idscan: { accounts: repeat(count, account, (index) => ({ username: `anna-${index}` })) } }
    },
  },
  {
    title: 'revocations, gateway check',
    few: 1_000,
    many: 100_000,
    store: 'sqlite',
    traffic: idscanCheck,
    async fill({ generator }, target, count) {
      await collectTokens(generator, { ...target, requests: LOGIN }, count, FILL_TIMEOUT_S)
      await measureStretch(generator, { ...target, requests: REVOKE }, { seconds: FILL_TIMEOUT_S })
    },
  },
]

/** Returns the item, and variants of it, so many in all. */
function repeat<Item extends object>(count: number, item: Item, vary: (index: number) => Partial<Item>): Item[] {
  return [item, ...Array.from({ length: count - 1 }, (_, index) => ({ ...item, ...vary(index) }))]
}

export async function runGrowth(environment: BenchEnvironment, options: GrowthOptions): Promise<void> {
  const { tokens } = options
  const kinds = [...(['sqlite', 'redis', 'postgres'] as const).map((store) => live(store, tokens)), ...GROWTHS]
  const rows: string[][] = []
  for (const kind of kinds) rows.push(await compare(environment, kind, options))
  const head = ['growth', 'few', 'many', 'cost, ratio', 'least to most', 'target', '']
  printTable([...head, 'start, s', 'target', '', 'memory, KB for a thousand'], rows)
}

interface Started {
  readonly target: Target
  readonly startS: number
  readonly memoryMb: number
}

async function compare(
  environment: BenchEnvironment,
  growth: Growth,
  { seconds, rounds }: GrowthOptions,
): Promise<string[]> {
  const { title, few, many } = growth
  await using running = new AsyncDisposableStack()
  const start = async (count: number): Promise<Started> => {
    say(`growth: ${title}, ${count}`)
    const started = await startFilled(environment, growth, count)
    running.use(started.target.process)
    await measure(environment, started.target, WARM_UP_S)
    return started
  }
  const [small, large] = [await start(few), await start(many)]
  const costs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const [first, second] = await measureInTurn(
      round,
      () => measure(environment, small.target, seconds),
      () => measure(environment, large.target, seconds),
    )
    costs.push(first / second)
  }
  const cost = spread(costs)
  const memoryKb = (1e3 * (large.memoryMb - small.memoryMb)) / ((many - few) / 1e3)
  return [
    title,
    String(few),
    String(many),
    cost.median.toFixed(2),
    formatRange(cost),
    `≤ ${COST_TARGET.toFixed(2)}`,
    formatVerdict(cost.median <= COST_TARGET),
    large.startS.toFixed(2),
    `≤ ${START_TARGET_S}`,
    formatVerdict(large.startS <= START_TARGET_S),
    memoryKb.toFixed(0),
  ]
}

/** Returns answers a second. */
async function measure({ generator }: BenchEnvironment, target: Target, seconds: number): Promise<number> {
  await prepare(generator, target, ANSWERS_A_SECOND * seconds)
  return (await measureStretch(generator, target, { seconds })).rate
}

/** Starts Trimint with that much data. Another process stored it, so that both compared ones start cold. */
async function startFilled(environment: BenchEnvironment, growth: Growth, count: number): Promise<Started> {
  const { title, store: kind, traffic, configure, fill } = growth
  const folder = join(environment.folder, `${title}-${count}`.replaceAll(/\W+/g, '-'))
  const store = await openStoreUrl(kind, folder, environment)
  const sections = await configure?.(count)
  const start = async (): Promise<Target> => {
    const started = await startTrimintProcess({ core: environment.cores.server, folder, store, sections })
    return { ...started, ...traffic, sharesGeneratorCore: kind !== 'sqlite' }
  }
  if (fill) {
    const target = await start()
    await fill(environment, target, count)
    await target.process[Symbol.asyncDispose]()
  }
  const began = performance.now()
  const target = await start()
  const startS = (performance.now() - began) / 1e3
  return { target, startS, memoryMb: await target.process.memoryMb() }
}
