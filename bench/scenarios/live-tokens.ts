// What a million live tokens cost: FIDO create on a full store beside a store of a thousand, in turn, on SQLite and on
// Redis.

import { join } from 'node:path'
import type { Target } from '../candidates/candidate.ts'
import { startTrimintProcess } from '../candidates/trimint.ts'
import { CREATE, openStoreUrl, type StoreKind } from '../candidates/workloads.ts'
import { formatRange, formatVerdict, printTable, say } from '../command-line.ts'
import type { BenchEnvironment } from '../environment.ts'
import { collectTokens, measureInTurn, measureStretch, type Repetition } from '../measure.ts'
import { median, spread } from '../statistics.ts'

const FEW = 1_000
const SEED_TIMEOUT_S = 900
const WARM_UP_S = 3

/** How much more a creation may cost on the full store. */
const COST_TARGET = 4 / 3

export interface LiveTokensOptions extends Repetition {
  readonly tokens: number
}

export async function runLiveTokens(environment: BenchEnvironment, options: LiveTokensOptions): Promise<void> {
  const rows: string[][] = []
  for (const kind of ['sqlite', 'redis'] as const) rows.push(await compare(environment, kind, options))
  printTable(['live tokens', `create/s, ${FEW}`, 'create/s, many', 'cost, ratio', 'least to most', 'target', ''], rows)
}

async function compare(
  environment: BenchEnvironment,
  kind: StoreKind,
  { tokens, seconds, rounds }: LiveTokensOptions,
): Promise<string[]> {
  await using running = new AsyncDisposableStack()
  const start = async (count: number) => {
    say(`live tokens: creating ${count} on ${kind}`)
    const target = await startFilled(environment, kind, count)
    running.use(target.process)
    const measure = (forSeconds = seconds) => measureStretch(environment.generator, target, { seconds: forSeconds })
    await measure(WARM_UP_S)
    return measure
  }
  const [measureFew, measureMany] = [await start(FEW), await start(tokens)]
  const pairs: { few: number; many: number }[] = []
  for (let round = 0; round < rounds; round++) {
    const [few, many] = await measureInTurn(
      round,
      () => measureFew(),
      () => measureMany(),
    )
    pairs.push({ few: few.rate, many: many.rate })
  }
  const cost = spread(pairs.map(({ few, many }) => few / many))
  return [
    `${kind}, ${tokens}`,
    median(pairs.map(({ few }) => few)).toFixed(0),
    median(pairs.map(({ many }) => many)).toFixed(0),
    cost.median.toFixed(2),
    formatRange(cost),
    `≤ ${COST_TARGET.toFixed(2)}`,
    formatVerdict(cost.median <= COST_TARGET),
  ]
}

/**
 * Starts Trimint on a store with that many live tokens; another process filled it, so that both compared ones start
 * cold.
 */
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
