// Medians and spreads of repeated measurements.

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Returns a percentile of a list. @param share 0.5 for the median */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

export function spread(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) }
}
