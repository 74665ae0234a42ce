// Medians and spreads of repeated measurements, and what the benchmarks print of them.

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Returns a percentile of a list. @param share 0.5 for the median */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

export function spread(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) }
}

/** Reports progress on standard error, so that standard output has only the figures. */
export const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Prints a Markdown table: the first column is text, the others are numbers. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  const lines = [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`)
  process.stdout.write(`\n${lines.join('')}\n`)
}

/** Returns two cells: the median, and the range. */
export function formatSpread({ median: middle, least, most }: Spread, digits = 2): [string, string] {
  return [middle.toFixed(digits), `${least.toFixed(digits)} to ${most.toFixed(digits)}`]
}

type Goal = { readonly [Bound in 'atLeast' | 'atMost']?: number | undefined }

/** Returns two cells: the target, and whether a figure meets it. Both are empty without a target. */
export function formatVerdict(figure: number, { atLeast, atMost }: Goal): [string, string] {
  const verdict = (isMet: boolean): string => (isMet ? 'met' : '**missed**')
  if (atLeast !== undefined) return [`≥ ${atLeast}`, verdict(figure >= atLeast)]
  if (atMost !== undefined) return [`≤ ${atMost}`, verdict(figure <= atMost)]
  return ['', '']
}
