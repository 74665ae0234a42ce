// Draws docs/performance.svg: the rate of each candidate as a share of bare node:http's, from bench/results.json.

import { readFile, writeFile } from 'node:fs/promises'
import type { CandidateResult } from './scenarios/throughput.ts'

const RESULTS = new URL('./results.json', import.meta.url)
const CHART = new URL('../docs/performance.svg', import.meta.url)

type Bar = Omit<CandidateResult, 'kind'> & { readonly kind: CandidateResult['kind'] | 'bare' }

const WIDTH = 760
const ROW_HEIGHT = 24
const BAR_HEIGHT = 16
const TOP = 62
const LABEL_WIDTH = 250
const MAX_BAR_WIDTH = 440
const MARGIN = 12

/** Replaces the ratios of the candidates that were measured; those of others stay. */
export async function updateResults(results: readonly CandidateResult[]): Promise<void> {
  const bars = new Map((await readBars()).map((bar) => [bar.name, bar]))
  for (const { name, title, kind, ratio } of results) {
    bars.set(name, { name, title, kind, ratio: Number(ratio.toFixed(3)) })
  }
  const lines = [...bars.values()].map((bar) => `  ${formatBar(bar)}`)
  await writeFile(RESULTS, `[\n${lines.join(',\n')}\n]\n`)
}

/** Formats JSON as the formatter of the sources does. */
function formatBar(bar: Bar): string {
  const members = Object.entries(bar).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)
  return `{ ${members.join(', ')} }`
}

async function readBars(): Promise<Bar[]> {
  return JSON.parse(await readFile(RESULTS, 'utf8')) as Bar[]
}

export async function drawChart(): Promise<void> {
  const reference: Bar = { name: 'bare', title: 'bare node:http', kind: 'bare', ratio: 1 }
  const bars = [reference, ...(await readBars()).toSorted((left, right) => right.ratio - left.ratio)]
  await writeFile(CHART, render(bars))
}

function render(bars: readonly Bar[]): string {
  const height = TOP + bars.length * ROW_HEIGHT + MARGIN
  const list = bars.map(({ kind, title, ratio }) => `${labelOf(kind, title)} ${ratio.toFixed(2)}`).join('; ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
<title id="title">Answers a second, as a share of bare node:http</title>
<desc id="desc">${escapeText(list)}.</desc>
<style>
  .panel { fill: #ffffff } text { font: 13px system-ui, sans-serif; fill: #1f2328 } .heading { font-weight: 600; font-size: 15px }
  .note { fill: #59636e } .trimint { fill: #0969da } .peer { fill: #8c959f } .bare { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    .panel { fill: #0d1117 } text { fill: #e6edf3 } .note { fill: #9198a1 } .trimint { fill: #58a6ff } .peer { fill: #6e7681 }
    .bare { fill: #b1bac4 }
  }
</style>
<rect class="panel" width="${WIDTH}" height="${height}" rx="6"/>
<text class="heading" x="${MARGIN}" y="26">Answers a second, as a share of bare node:http on one core</text>
<text class="note" x="${MARGIN}" y="46">Bare node:http sends the same bytes and does nothing else. Higher is better.</text>
${bars.map(renderBar).join('\n')}
</svg>
`
}

function renderBar({ kind, title, ratio }: Bar, index: number): string {
  const y = TOP + index * ROW_HEIGHT
  const baseline = y + BAR_HEIGHT - 3
  const width = Math.max(1, Math.round(ratio * MAX_BAR_WIDTH))
  const x = LABEL_WIDTH + MARGIN
  return [
    `<text x="${LABEL_WIDTH}" y="${baseline}" text-anchor="end">${escapeText(labelOf(kind, title))}</text>`,
    `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
    `<text x="${x + width + 6}" y="${baseline}">${ratio.toFixed(2)}</text>`,
  ].join('')
}

const labelOf = (kind: Bar['kind'], title: string): string => (kind === 'trimint' ? `Trimint: ${title}` : title)

const escapeText = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
