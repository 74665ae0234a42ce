// Whether two lots of times can be told apart. Not a program of its own.

import { percentile } from './support.ts'

/** Of the normal distribution, for an interval of 95 %. */
const Z = 1.96

/** How much one lot differs from another. */
export interface Comparison {
  /** Of the medians, in the unit of the values. */
  readonly difference: number
  /**
   * Cliff's delta: the probability that a value of the first is greater than one of the second, less the probability of the
   * opposite. 0 cannot be told apart, 1 always can; below 0.147 is called negligible (Romano et al. 2006).
   */
  readonly delta: number
  /** Of the delta, to both sides: an interval of 95 %. */
  readonly margin: number
}

export function compare(left: readonly number[], right: readonly number[]): Comparison {
  const [ofLeft, ofRight] = [dominance(left, right), dominance(right, left)]
  return {
    difference: percentile(left, 0.5) - percentile(right, 0.5),
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
