import { readFileSync } from 'node:fs'
import { readTable } from '../support/markdown.ts'

/** The part of Stryker's report that is used (mutation-testing-report-schema). */
interface Mutant {
  readonly status: string
  readonly mutatorName: string
  readonly replacement: string
  readonly location: { readonly start: Place; readonly end: Place }
}

/** A position; line and column count from 1. */
interface Place {
  readonly line: number
  readonly column: number
}

type Files = Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>

const PAGE = 'test/mutation/survivors.md'
const MIN_SHARE = 0.9

/** A mutant that hangs or does not start is detected too. */
const DETECTED = ['Killed', 'Timeout', 'RuntimeError', 'CompileError']

/** Prints each file's score, and the survivors that the page does not explain. @returns the exit code */
export function report(reports: readonly string[]): number {
  const files = reports.flatMap((name) =>
    Object.entries((JSON.parse(readFileSync(name, 'utf8')) as { files: Files }).files),
  )
  const explained = new Set(readTable(PAGE, 'Survivors').map(([file, change]) => `${file} ${change}`))
  let [unexplained, total, detected] = [0, 0, 0]
  for (const [file, { source, mutants }] of files) {
    const survivors = mutants.filter(({ status }) => !DETECTED.includes(status))
    total += mutants.length
    detected += mutants.length - survivors.length
    process.stdout.write(`${file}: ${formatScore(mutants.length - survivors.length, mutants.length)}\n`)
    for (const mutant of survivors) {
      const change = describe(source, mutant)
      if (explained.has(`\`${file}\` ${change}`)) continue
      unexplained += 1
      process.stdout.write(`  line ${mutant.location.start.line}: | \`${file}\` | ${change} | why? |\n`)
    }
  }
  process.stdout.write(`all: ${formatScore(detected, total)}; ${unexplained} survivors are not in ${PAGE}\n`)
  return unexplained === 0 && detected >= MIN_SHARE * total ? 0 : 1
}

const formatScore = (detected: number, total: number): string =>
  `${detected} of ${total}, ${((100 * detected) / total).toFixed(0)} %`

/** Formats a mutant as a table cell: on one line, without line numbers, which change with every edit above. */
function describe(source: string, { location: { start, end }, replacement }: Mutant): string {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  const original = lines
    .join('\n')
    .slice(start.column - 1, lines.slice(0, -1).join('\n').length + (lines.length > 1 ? 1 : 0) + end.column - 1)
  return `\`${toCell(original)}\` → \`${toCell(replacement)}\``
}

const MAX_CELL_LENGTH = 90

function toCell(code: string): string {
  const line = code.replaceAll(/\s+/g, ' ').replaceAll('`', "'").replaceAll('|', '¦')
  return line.length > MAX_CELL_LENGTH ? `${line.slice(0, MAX_CELL_LENGTH)}…` : line
}
