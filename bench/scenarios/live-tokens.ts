// What a million live tokens cost: FIDO create on a full store beside a store of a thousand, in turn, on SQLite and on Redis.

import { join } from 'node:path'
import type { Target } from '../candidates/candidate.ts'
import { startTrimintProcess } from '../candidates/trimint.ts'
import { CREATE, openStoreUrl, type StoreKind } from '../candidates/workloads.ts'
import type { BenchEnvironment } from '../environment.ts'
import { collectTokens, measureInTurn, measureStretch } from '../measure.ts'
import { formatRange, formatVerdict, printTable } from '../print-table.ts'
import { median, ratios } from '../statistics.ts'

const FEW = 1_000
const SEED_TIMEOUT_S = 900
const WARM_UP_S = 3

/** How much more a creation may cost on the full store. */
const COST_TARGET = 4 / 3

export interface LiveTokensOptions {
  readonly tokens: number
  readonly seconds: number
  readonly rounds: number
  readonly say: (line: string) => void
}

export async function runLiveTokens(environment: BenchEnvironment, options: LiveTokensOptions): Promise<void> {
  const rows: string[][] = []
  for (const kind of ['sqlite', 'redis'] as const) rows.push(await compare(environment, kind, options))
  const head = ['live tokens', `create/s, ${FEW}`, 'create/s, many', 'cost, ratio', 'least to most', 'target', '']
  printTable([...head, 'p99 at half load, ratio', 'least to most'], rows)
}

async function compare(environment: BenchEnvironment, kind: StoreKind, options: LiveTokensOptions): Promise<string[]> {
  const { tokens, seconds, rounds, say } = options
  const { generator } = environment
  await using running = new AsyncDisposableStack()
  const start = async (count: number): Promise<Target> => {
    say(`live tokens: creating ${count} on ${kind}`)
    const target = await startFilled(environment, kind, count)
    running.use(target.process)
    await measureStretch(generator, target, { seconds: WARM_UP_S })
    return target
  }
  const [few, many] = [await start(FEW), await start(tokens)]
  const measure = async (rateOfFew?: number, rateOfMany?: number) => {
    const pairs = []
    for (let round = 0; round < rounds; round++) {
      const [ofFew, ofMany] = await measureInTurn(
        round,
        () => measureStretch(generator, few, { seconds, rate: rateOfFew }),
        () => measureStretch(generator, many, { seconds, rate: rateOfMany }),
      )
      pairs.push({ few: ofFew, many: ofMany })
    }
    return pairs
  }
  const full = await measure()
  const [fewRate, manyRate] = [median(full.map((pair) => pair.few.rate)), median(full.map((pair) => pair.many.rate))]
  const half = await measure(fewRate / 2, manyRate / 2)
  const cost = ratios(
    full,
    (pair) => pair.few.rate,
    (pair) => pair.many.rate,
  )
  const p99 = ratios(
    half,
    (pair) => pair.many.latencyMs.p99,
    (pair) => pair.few.latencyMs.p99,
  )
  return [
    `${kind}, ${tokens}`,
    fewRate.toFixed(0),
    manyRate.toFixed(0),
    cost.median.toFixed(2),
    formatRange(cost),
    `≤ ${COST_TARGET.toFixed(2)}`,
    formatVerdict(cost.median <= COST_TARGET),
    p99.median.toFixed(2),
    formatRange(p99),
  ]
}

/** Starts Trimint on a store with that many live tokens; another process filled it, so that both compared ones start cold. */
async function startFilled(environment: BenchEnvironment, kind: StoreKind, count: number): Promise<Target> {
  const folder = join(environment.folder, `live-${kind}-${count}`)
  const store = await openStoreUrl(kind, folder, environment)
  const sections = {
    nevisfido: { appId: 'https://fido.example.com/facets', protect: [], users: '*' as const, tokenLifetime: '1d' },
  }
  const start = async (): Promise<Target> => {
    const options = { core: environment.cores.server, folder, store, sections }
    return { ...(await startTrimintProcess(options)), requests: CREATE, sharesGeneratorCore: kind === 'redis' }
  }
  const filling = await start()
  await collectTokens(environment.generator, filling, count, SEED_TIMEOUT_S)
  await filling.process[Symbol.asyncDispose]()
  return start()
}
