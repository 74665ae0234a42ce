// What a million live tokens cost: FIDO create beside the same with a thousand, on each store, in turn. Not a program of its own.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Generator } from './load/client.ts'
import type { Cores } from './machine.ts'
import { measureStretch } from './measure.ts'
import { startDurableRedis } from './redis.ts'
import { seedTokens } from './seed.ts'
import { median, type Spread, spread } from './spread.ts'
import { onCore } from './subjects/process.ts'
import { startTrimint } from './subjects/trimint.ts'
import { CREATE } from './subjects/workloads.ts'

const FEW = 1_000

export interface LiveTokens {
  readonly store: string
  readonly tokens: number
  /** Creations a second. */
  readonly few: number
  readonly many: number
  /** Of the time that one takes, and of the 99th percentile at half load: many to few. */
  readonly cost: Spread
  readonly p99: Spread
}

export interface LiveTokensOptions {
  readonly generator: Generator
  readonly cores: Cores
  readonly folder: string
  readonly tokens: number
  readonly seconds: number
  readonly rounds: number
}

export async function measureLiveTokens(kind: 'SQLite' | 'Redis', options: LiveTokensOptions): Promise<LiveTokens> {
  const { generator, cores, tokens, seconds, rounds } = options
  await using running = new AsyncDisposableStack()
  const start = async (count: number) => {
    const folder = join(options.folder, `live-${kind}-${count}`)
    await mkdir(folder)
    // A server each, so that nothing of the one is in the way of the other.
    const store =
      kind === 'SQLite'
        ? `sqlite:${join(folder, 'trimint.db')}`
        : running.use(await startDurableRedis(onCore(cores.generator))).url
    await seedTokens(store, count)
    const { port, process } = await startTrimint({ core: cores.server, folder, store })
    running.use(process)
    return { port, process, requests: CREATE, rates: [] as number[], p99s: [] as number[] }
  }
  const few = await start(FEW)
  const many = await start(tokens)
  for (let round = -1; round < rounds; round++) {
    for (const side of round % 2 === 0 ? [few, many] : [many, few]) {
      const { rate } = await measureStretch(generator, side, Math.max(seconds, round < 0 ? 3 : 0))
      if (round >= 0) side.rates.push(rate)
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? [few, many] : [many, few]) {
      const { latency } = await measureStretch(generator, side, seconds, median(side.rates) / 2)
      side.p99s.push(latency.p99)
    }
  }
  return {
    store: kind,
    tokens,
    few: median(few.rates),
    many: median(many.rates),
    cost: spread(few.rates.map((rate, round) => rate / (many.rates[round] ?? Number.NaN))),
    p99: spread(many.p99s.map((p99, round) => p99 / (few.p99s[round] ?? Number.NaN))),
  }
}
