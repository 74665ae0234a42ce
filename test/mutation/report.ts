import { readFileSync } from 'node:fs'
import { readTable } from '../support/markdown.ts'

/** What is read of a report of Stryker's (mutation-testing-report-schema). */
interface Mutant {
  readonly status: string
  readonly mutatorName: string
  readonly replacement: string
  readonly location: { readonly start: Place; readonly end: Place }
}

/** Both counted from 1. */
interface Place {
  readonly line: number
  readonly column: number
}

type Files = Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>

const PAGE = 'test/mutation/survivors.md'
const LEAST = 90 // per cent

/** A program that hangs, or that no longer starts, has been noticed. */
const NOTICED = ['Killed', 'Timeout', 'RuntimeError', 'CompileError']

/** Says what survived, and which of it nobody has explained. @returns the exit code. */
export function report(reports: readonly string[]): number {
  const files = reports.flatMap((name) =>
    Object.entries((JSON.parse(readFileSync(name, 'utf8')) as { files: Files }).files),
  )
  const explained = new Set(readTable(PAGE, 'Survivors').map(([file, change]) => `${file} ${change}`))
  let [unexplained, weak] = [0, 0]
  for (const [file, { source, mutants }] of files) {
    const survivors = mutants.filter(({ status }) => !NOTICED.includes(status))
    const share = (100 * (mutants.length - survivors.length)) / mutants.length
    if (share < LEAST) weak += 1
    process.stdout.write(`${file}: ${mutants.length - survivors.length} of ${mutants.length}, ${share.toFixed(0)} %\n`)
    for (const mutant of survivors) {
      const change = describe(source, mutant)
      if (explained.has(`\`${file}\` ${change}`)) continue
      unexplained += 1
      process.stdout.write(`  line ${mutant.location.start.line}: | \`${file}\` | ${change} | why? |\n`)
    }
  }
  process.stdout.write(`${unexplained} survivors are not in ${PAGE}, ${weak} files are below ${LEAST} %\n`)
  return unexplained + weak === 0 ? 0 : 1
}

/** As a cell of a table has it: on one line, without what would end the cell. Survives lines that are added above. */
function describe(source: string, { location: { start, end }, replacement }: Mutant): string {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  const original = lines
    .join('\n')
    .slice(start.column - 1, lines.slice(0, -1).join('\n').length + (lines.length > 1 ? 1 : 0) + end.column - 1)
  return `\`${toCell(original)}\` → \`${toCell(replacement)}\``
}

const LONGEST = 90

function toCell(code: string): string {
  const line = code.replaceAll(/\s+/g, ' ').replaceAll('`', "'").replaceAll('|', '¦')
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line
}
