import { readdirSync, readFileSync } from 'node:fs'

/** A fenced block of a document. */
export interface Block {
  readonly file: string
  /** Of its opening fence, counted from 1. */
  readonly line: number
  /** The nearest heading above it. */
  readonly heading: string
  /** What stands behind the opening fence. */
  readonly language: string
  readonly code: string
  /** Why it is not run: `<!-- not run: why -->` directly before it. */
  readonly notRun: string | undefined
  /** Files that run it: `<!-- run by: file, file -->` directly before it. */
  readonly runBy: readonly string[] | undefined
}

/** What people paste from. */
export function documents(): string[] {
  const pages = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'))
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pages.toSorted().map((name) => `docs/${name}`)]
}

export function readBlocks(file: string): Block[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  const blocks: Block[] = []
  let heading = ''
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading
    const language = /^ *```(.*)$/.exec(line)?.[1]
    if (language === undefined) continue
    const end = lines.findIndex((candidate, index) => index > at && /^ *```$/.test(candidate))
    if (end === -1) throw new Error(`${file}:${at + 1}: a block without an end`)
    // A blank line may stand between a comment and its block.
    const before = (lines[at - 1]?.trim() || lines[at - 2]?.trim()) ?? ''
    blocks.push({
      file,
      line: at + 1,
      heading,
      language,
      code: lines.slice(at + 1, end).join('\n'),
      notRun: /^<!-- not run: (.+) -->$/.exec(before)?.[1],
      runBy: /^<!-- run by: (.+) -->$/.exec(before)?.[1]?.split(', '),
    })
    at = end
  }
  return blocks
}

/** The rows of the tables under a heading, each as its cells; without heads and rules. */
export function readTable(file: string, heading: string): string[][] {
  const section = readFileSync(file, 'utf8')
    .split(/^#+ /m)
    .find((text) => text.startsWith(`${heading}\n`))
  const rows = (section ?? '').split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
}
