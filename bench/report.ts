// The figures as a table, and as what a program can read. Not a program of its own.

import type { LiveTokens } from './live-tokens.ts'
import type { Contestant, Pair, Stretch } from './measure.ts'
import { median, type Spread, spread } from './spread.ts'
import { printTable } from './support.ts'

/** The most that the 99th percentile at half load may be, in those of bare node:http at half its load. */
const P99_TARGET = 3

const ratios = (pairs: readonly Pair[], of: (stretch: Stretch) => number): Spread =>
  spread(pairs.map(({ bare, subject }) => of(subject) / of(bare)))

export interface Result {
  readonly name: string
  readonly title: string
  readonly isPeer: boolean
  readonly target: number | undefined
  /** Answers a second; the ratio is of each round's own two. */
  readonly rate: { readonly bare: number; readonly subject: number; readonly ratio: Spread }
  /** Microseconds an answer. */
  readonly processorTime: { readonly bare: number; readonly subject: number; readonly ratio: Spread }
  /** Shares of a core, while it answered as fast as it could. */
  readonly load: { readonly bare: number; readonly subject: number; readonly generator: number }
  /** Milliseconds, at half of each one's own rate. */
  readonly halfLoad: { readonly bare: Latency; readonly subject: Latency; readonly p99Ratio: Spread }
  /** MB. */
  readonly memory: { readonly idle: number; readonly afterLoad: number }
}

interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

export async function summarise({ subject, started, rounds, halfLoad, idleMemory }: Contestant): Promise<Result> {
  const { name, title, isPeer, target } = subject
  const medianOf = (pairs: readonly Pair[], side: keyof Pair, of: (stretch: Stretch) => number): number =>
    median(pairs.map((pair) => of(pair[side])))
  const both = (of: (stretch: Stretch) => number) => ({
    bare: medianOf(rounds, 'bare', of),
    subject: medianOf(rounds, 'subject', of),
  })
  const latency = (side: keyof Pair): Latency => ({
    p50: medianOf(halfLoad, side, ({ latency }) => latency.p50),
    p99: medianOf(halfLoad, side, ({ latency }) => latency.p99),
    p999: medianOf(halfLoad, side, ({ latency }) => latency.p999),
  })
  return {
    name,
    title,
    isPeer,
    target,
    rate: { ...both(({ rate }) => rate), ratio: ratios(rounds, ({ rate }) => rate) },
    processorTime: {
      ...both(({ processorTime }) => processorTime * 1e6),
      ratio: ratios(rounds, ({ processorTime }) => processorTime),
    },
    load: {
      ...both(({ serverLoad }) => serverLoad),
      generator: Math.max(...rounds.flatMap(({ bare, subject }) => [bare.generatorLoad, subject.generatorLoad])),
    },
    halfLoad: {
      bare: latency('bare'),
      subject: latency('subject'),
      p99Ratio: ratios(halfLoad, ({ latency }) => latency.p99),
    },
    memory: { idle: idleMemory, afterLoad: await started.process.memory() },
  }
}

const range = ({ least, most }: Spread, digits = 2): string => `${least.toFixed(digits)} to ${most.toFixed(digits)}`

const verdict = (isMet: boolean): string => (isMet ? 'met' : '**missed**')

export function printResults(results: readonly Result[]): void {
  printTable(
    ['throughput', 'bare node:http/s', 'subject/s', 'ratio', 'least to most', 'target', ''],
    results.map(({ title, rate, target }) => [
      title,
      rate.bare.toFixed(0),
      rate.subject.toFixed(0),
      rate.ratio.median.toFixed(2),
      range(rate.ratio),
      target === undefined ? '' : `≥ ${target}`,
      target === undefined ? '' : verdict(rate.ratio.median >= target),
    ]),
  )
  printTable(
    ['processor time an answer', 'bare, µs', 'subject, µs', 'ratio', 'bare load', 'subject load', 'generator, most'],
    results.map(({ title, processorTime, load }) => [
      title,
      processorTime.bare.toFixed(1),
      processorTime.subject.toFixed(1),
      processorTime.ratio.median.toFixed(2),
      percent(load.bare),
      percent(load.subject),
      percent(load.generator),
    ]),
  )
  printTable(
    [
      'at half load, ms',
      'p50',
      'p99',
      'p99.9',
      'bare p50',
      'bare p99',
      'bare p99.9',
      'ratio p99',
      'least to most',
      'target',
      '',
    ],
    results.map(({ title, isPeer, halfLoad: { bare, subject, p99Ratio } }) => [
      title,
      ...[subject.p50, subject.p99, subject.p999, bare.p50, bare.p99, bare.p999].map((value) => value.toFixed(2)),
      p99Ratio.median.toFixed(1),
      range(p99Ratio, 1),
      isPeer ? '' : `≤ ${P99_TARGET}`,
      isPeer ? '' : verdict(p99Ratio.median <= P99_TARGET),
    ]),
  )
  printTable(
    ['memory, MB', 'idle', 'after load'],
    results.map(({ title, memory }) => [title, memory.idle.toFixed(0), memory.afterLoad.toFixed(0)]),
  )
}

/** The most that a creation may cost with a million live tokens, in those of one with a thousand. */
const LIVE_TARGET = 4 / 3

export function printLiveTokens(list: readonly LiveTokens[]): void {
  printTable(
    [
      'live tokens',
      'create/s with 1000',
      'with many',
      'cost of one, ratio',
      'least to most',
      'target',
      '',
      'p99, ratio',
      'least to most',
    ],
    list.map(({ store, tokens, few, many, cost, p99 }) => [
      `${store}, ${tokens}`,
      few.toFixed(0),
      many.toFixed(0),
      cost.median.toFixed(2),
      range(cost),
      `≤ ${LIVE_TARGET.toFixed(2)}`,
      verdict(cost.median <= LIVE_TARGET),
      p99.median.toFixed(2),
      range(p99),
    ]),
  )
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`
