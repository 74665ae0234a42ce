// Options and output of the benchmarks' command lines.

import type { Spread } from './statistics.ts'

/** Reads a whole number of at least 1. */
export function readCount(text: string, max: number): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= max) return count
  throw new Error(`${text}: expected a whole number from 1 to ${max}`)
}

/** Reports progress on standard error, so that standard output has only the figures. */
export const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Prints a Markdown table: the first column is text, the others are numbers. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  const lines = [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`)
  process.stdout.write(`\n${lines.join('')}\n`)
}

export const formatRange = ({ least, most }: Spread, digits = 2): string =>
  `${least.toFixed(digits)} to ${most.toFixed(digits)}`

export const formatVerdict = (isMet: boolean): string => (isMet ? 'met' : '**missed**')
