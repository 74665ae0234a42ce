// The chart of the last five minutes, by outcome.

import { create, find } from './dom.js'
import { now } from './time.js'

/** From the bottom of a bar to its top. */
export const OUTCOMES = ['issued', 'redeemed', 'checked', 'introspected', 'revoked', 'answered', 'refused']

const WINDOW_MS = 300_000
const BARS = 60
const [WIDTH, HEIGHT] = [300, 60]
const BAR_WIDTH = WIDTH / BARS

/** Draws the requests of the last five minutes. @param {Iterable<{ time: number, outcome: string }>} requests */
export function drawChart(requests) {
  const barMs = WINDOW_MS / BARS
  const end = Math.floor(now() / barMs)
  /** @type {Map<string, number>} */
  const totals = new Map()
  /** @type {Map<string, number>[]} */
  const bars = Array.from({ length: BARS }, () => new Map())
  for (const { time, outcome } of requests) {
    const bar = bars[BARS - 1 - end + Math.floor(time / barMs)]
    if (!bar) continue
    bar.set(outcome, (bar.get(outcome) ?? 0) + 1)
    totals.set(outcome, (totals.get(outcome) ?? 0) + 1)
  }
  const highest = Math.max(1, ...bars.map((bar) => bar.values().reduce((sum, count) => sum + count, 0)))
  const rectangles = bars.flatMap((bar, index) => stack(bar, index, HEIGHT / Math.max(highest, 5)))
  find('chart', SVGElement).replaceChildren(...rectangles)
  label(
    OUTCOMES.filter((outcome) => totals.has(outcome)).map((outcome) => ({ outcome, count: totals.get(outcome) ?? 0 })),
  )
}

/** @param {Map<string, number>} bar @param {number} index @param {number} unit the height of one request. */
function stack(bar, index, unit) {
  let top = HEIGHT
  return OUTCOMES.flatMap((outcome) => {
    const height = (bar.get(outcome) ?? 0) * unit
    if (height === 0) return []
    top -= height
    const rectangle = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    const shape = { x: index * BAR_WIDTH + 0.5, y: top, width: BAR_WIDTH - 1, height, class: outcome }
    for (const [name, value] of Object.entries(shape)) rectangle.setAttribute(name, String(value))
    return [rectangle]
  })
}

/** @param {{ outcome: string, count: number }[]} totals */
function label(totals) {
  const words = totals.map(({ outcome, count }) => `${count} ${outcome}`)
  const summary = words.length > 0 ? `Last five minutes: ${words.join(', ')}` : 'No requests in the last five minutes'
  const chart = find('chart', SVGElement)
  if (chart.getAttribute('aria-label') === summary) return
  chart.setAttribute('aria-label', summary)
  find('legend').replaceChildren(...totals.map(({ outcome }, index) => create('li', { class: outcome }, words[index])))
}
