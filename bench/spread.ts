// What the rounds of a run say together. Not a program of its own.

import { percentile } from './support.ts'

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export const median = (list: readonly number[]): number => percentile(list, 0.5)

export const spread = (list: readonly number[]): Spread => ({
  median: median(list),
  least: Math.min(...list),
  most: Math.max(...list),
})
