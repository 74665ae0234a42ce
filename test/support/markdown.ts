import { readdirSync, readFileSync } from 'node:fs'

/** A fenced code block of a document. */
export interface Block {
  readonly file: string
  /** Line number of the opening fence, starting at 1. */
  readonly line: number
  /** Text of the nearest heading above the block. */
  readonly heading: string
  /** Info string of the opening fence, such as `sh`. */
  readonly language: string
  readonly code: string
  /** Reason from `<!-- not run: reason -->` directly before the block. */
  readonly notRun: string | undefined
  /** Files from `<!-- run by: file, file -->` directly before the block. */
  readonly runBy: readonly string[] | undefined
}

/** Lists the Markdown files that readers follow, relative to the repository. */
export function documents(): string[] {
  const pages = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'))
  return [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'SECURITY.md',
    ...pages.toSorted().map((name) => `docs/${name}`),
  ]
}

/** Reads the fenced code blocks of a file. @throws Error when a block has no closing fence. */
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
    if (end === -1) throw new Error(`${file}:${at + 1}: code block without a closing fence`)
    // The mark may be separated from its block by one blank line.
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

/** Reads the table rows under a heading, each as an array of cells. Skips the first table's header and rule. */
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
