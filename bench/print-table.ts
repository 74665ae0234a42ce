import type { Spread } from './statistics.ts'

/** Prints a Markdown table: the first column is text, the others are numbers. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  const lines = [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`)
  process.stdout.write(`\n${lines.join('')}\n`)
}

export const formatRange = ({ least, most }: Spread, digits = 2): string =>
  `${least.toFixed(digits)} to ${most.toFixed(digits)}`

export const formatVerdict = (isMet: boolean): string => (isMet ? 'met' : '**missed**')
