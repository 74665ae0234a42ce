// Shows that an unknown user, a disabled user with the right password and a wrong password cannot be told apart by time at
// POST /idscanenterprisesvc/token (docs/contracts/idscan.md, I23).
//
//   node bench/login-timing.ts [--samples 3000]
//
// One request at a time over one connection, in rounds: each round asks once for each class, in random order, so that
// whatever else the machine does hits all classes alike. The effect size is Cliff's delta, the probability that a reply of
// one class is slower than one of the other, less the probability of the opposite: 0 cannot be told apart, 1 always can.
// Below 0.1 it is negligible; the program fails when one is not. The interval is about 1.6 / sqrt(samples of a class) to
// both sides, so a few hundred samples decide nothing.

import { parseArgs } from 'node:util'
import { Client } from 'undici'
import {
  createAccounts,
  loginRequest,
  namesOf,
  percentile,
  printTable,
  RIGHT_PASSWORD,
  readCount,
  startServer,
  WRONG_PASSWORD,
} from './support.ts'

const NAMES = 8
/** The first rounds are not counted: the connection is opened and code is compiled in them. */
const WARM_UP_ROUNDS = 50
const NEGLIGIBLE = 0.1
/** Of the normal distribution, for an interval of 95 %. */
const Z = 1.96

interface Class {
  readonly label: string
  readonly names: readonly string[]
  readonly password: string
  /** Milliseconds. */
  readonly times: number[]
}

const { values } = parseArgs({ options: { samples: { type: 'string', default: '3000' } } })
const samples = readCount(values.samples, 100_000)

// Names, and with them requests, are equally long.
const classes: Class[] = [
  { label: 'unknown user', names: namesOf('missing', NAMES), password: WRONG_PASSWORD, times: [] },
  { label: 'disabled user', names: namesOf('stopped', NAMES), password: RIGHT_PASSWORD, times: [] },
  { label: 'wrong password', names: namesOf('enabled', NAMES), password: WRONG_PASSWORD, times: [] },
]

const accounts = [...(await createAccounts('enabled', NAMES)), ...(await createAccounts('stopped', NAMES, true))]
await using server = await startServer({ idscan: { accounts } })
const client = new Client(server.url, { pipelining: 1 })
await measure(client, Math.ceil(samples / classes.length))
await client.destroy()
report()

async function measure(client: Client, rounds: number): Promise<void> {
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round += 1) {
    for (const each of shuffle(classes)) {
      const time = await timeLogin(client, each.names[round % NAMES] ?? '', each.password)
      if (round >= WARM_UP_ROUNDS) each.times.push(time)
    }
  }
}

async function timeLogin(client: Client, username: string, password: string): Promise<number> {
  const request = loginRequest(username, password)
  const start = performance.now()
  const { statusCode, body } = await client.request(request)
  const text = await body.text()
  const time = performance.now() - start
  if (statusCode !== 400 || !text.includes('invalid_grant')) throw new Error(`unexpected reply: ${statusCode} ${text}`)
  return time
}

/** Fisher and Yates. */
function shuffle<T>(values: readonly T[]): T[] {
  const rest = [...values]
  return values.flatMap(() => rest.splice(Math.floor(Math.random() * rest.length), 1))
}

function report(): void {
  process.stdout.write(`${WARM_UP_ROUNDS} warm-up requests of each class are not counted. Times in milliseconds.\n`)
  printTable(
    ['class', 'requests', 'median', 'p95'],
    classes.map(({ label, times }) => [
      label,
      String(times.length),
      percentile(times, 0.5).toFixed(3),
      percentile(times, 0.95).toFixed(3),
    ]),
  )
  const pairs = classes.flatMap((left, index) => classes.slice(index + 1).map((right) => compare(left, right)))
  printTable(
    ['pair', 'difference of medians', "Cliff's delta", '95 % interval'],
    pairs.map(({ label, difference, delta, margin }) => [
      label,
      difference.toFixed(3),
      delta.toFixed(3),
      `${(delta - margin).toFixed(3)} to ${(delta + margin).toFixed(3)}`,
    ]),
  )
  const { delta, margin } = pairs.reduce((one, other) => (Math.abs(one.delta) < Math.abs(other.delta) ? other : one))
  const verdict = judge(Math.abs(delta), margin)
  process.stdout.write(
    `Verdict: the largest |delta| is ${Math.abs(delta).toFixed(3)}, the limit ${NEGLIGIBLE}: ${verdict}.\n`,
  )
}

function judge(size: number, margin: number): string {
  if (size < NEGLIGIBLE) return 'negligible, the classes cannot be told apart by time'
  process.exitCode = 1
  return size - margin < NEGLIGIBLE ? 'undecided, take more samples' : 'the classes CAN be told apart by time'
}

function compare(left: Class, right: Class) {
  const [ofLeft, ofRight] = [dominance(left.times, right.times), dominance(right.times, left.times)]
  return {
    label: `${left.label} / ${right.label}`,
    difference: percentile(left.times, 0.5) - percentile(right.times, 0.5),
    delta: mean(ofLeft),
    // The variance of a U statistic, estimated from both samples (Cliff 1993; DeLong 1988 for the same as an AUC).
    margin: Z * Math.sqrt(variance(ofLeft) / ofLeft.length + variance(ofRight) / ofRight.length),
  }
}

/** For each value: the share of the others that are smaller, less the share that are greater. Their mean is the delta. */
function dominance(values: readonly number[], others: readonly number[]): number[] {
  const sorted = others.toSorted((left, right) => left - right)
  return values.map((value) => {
    const smaller = countWhile(sorted, (other) => other < value)
    const greater = sorted.length - countWhile(sorted, (other) => other <= value)
    return (smaller - greater) / sorted.length
  })
}

/** How many values at the start of a list fulfil a condition that none behind them does: a binary search. */
function countWhile(sorted: readonly number[], condition: (value: number) => boolean): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (condition(sorted[middle] ?? Number.NaN)) low = middle + 1
    else high = middle
  }
  return low
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function variance(values: readonly number[]): number {
  const center = mean(values)
  return values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1)
}
