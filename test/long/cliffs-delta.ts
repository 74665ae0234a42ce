// Whether two samples of times differ.

/** The quantile of the normal distribution for a 95 % interval. */
const Z = 1.96

export interface Comparison {
  /** The difference of the medians, in the unit of the values. */
  readonly difference: number
  /**
   * Cliff's delta: the probability that a value of the first sample is greater than one of the second, minus the
   * probability of the opposite. 0 means no difference; below 0.147 it is called negligible (Romano et al. 2006).
   */
  readonly delta: number
  /** Half the width of delta's 95 % interval. */
  readonly margin: number
}

export function compare(left: readonly number[], right: readonly number[]): Comparison {
  const [ofLeft, ofRight] = [dominance(left, right), dominance(right, left)]
  return {
    difference: median(left) - median(right),
    delta: mean(ofLeft),
    // The variance of a U statistic, estimated from both samples (Cliff 1993; DeLong 1988 for the same as an AUC).
    margin: Z * Math.sqrt(variance(ofLeft) / ofLeft.length + variance(ofRight) / ofRight.length),
  }
}

/**
 * Returns, for each value, the share of the others that are smaller minus the share that are greater; their mean is
 * delta.
 */
function dominance(values: readonly number[], others: readonly number[]): number[] {
  const sorted = others.toSorted((left, right) => left - right)
  return values.map((value) => {
    const smaller = countWhile(sorted, (other) => other < value)
    const greater = sorted.length - countWhile(sorted, (other) => other <= value)
    return (smaller - greater) / sorted.length
  })
}

/** Counts the leading values that meet a condition which no later value meets, by binary search. */
function countWhile(sorted: readonly number[], condition: (value: number) => boolean): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (condition(sorted[middle] ?? Number.NaN)) low = middle + 1
    else high = middle
  }
  return low
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >>> 1] ?? Number.NaN
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function variance(values: readonly number[]): number {
  const center = mean(values)
  return values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1)
}
