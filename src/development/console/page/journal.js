// The live journal: the list of requests, its filters and the chart.

import { call, follow } from './api.js'
import { drawChart, OUTCOMES } from './chart.js'
import { attempt, create, find, valuesOf } from './dom.js'
import { callerOf, createEntry } from './entry.js'

/** @import { JournalRecord } from '../../journal/schema.ts' */

/** @typedef {{ record: JournalRecord, time: number, outcome: string, text: string, row: HTMLElement }} Entry */

export const CONTRACTS = ['bws', 'idscan', 'nevisfido', 'service']

const MAX_ENTRIES = 1_000
const RECONNECT_MS = 1_000

/** The newest first. @type {Entry[]} */
let entries = []

/** Requests that came since the last frame, the oldest first. @type {JournalRecord[]} */
let arrived = []

/**
 * Shows the journal, and follows it.
 *
 * @param {() => void} onRequests called after further requests were shown.
 */
export function startJournal(onRequests) {
  const form = find('filters', HTMLFormElement)
  fillSelect('contract', CONTRACTS)
  fillSelect('outcome', OUTCOMES)
  form.addEventListener('input', filter)
  form.addEventListener('submit', (event) => event.preventDefault())
  find('clear').addEventListener('click', () =>
    attempt(async () => {
      await call('DELETE', 'requests')
      clearJournal()
    }),
  )
  find('journal').addEventListener('keydown', moveFocus)
  void followForever(onRequests)

  /** @param {string} name @param {readonly string[]} values */
  function fillSelect(name, values) {
    const select = /** @type {HTMLSelectElement} */ (form.elements.namedItem(name))
    select.append(...values.map((value) => create('option', {}, value)))
  }
}

/** Removes all requests from the page. */
export function clearJournal() {
  entries = []
  arrived = []
  find('journal').replaceChildren()
  summarise()
}

/** Draws the chart for this moment. */
export function refreshChart() {
  drawChart(entries)
}

/** @param {() => void} onRequests */
async function followForever(onRequests) {
  for (;;) {
    try {
      await followOnce(onRequests)
    } catch {
      // Shown as "reconnecting".
    }
    showConnection('reconnecting')
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS))
  }
}

/** @param {() => void} onRequests */
async function followOnce(onRequests) {
  const stream = await follow('requests/stream')
  // Requests between the start of the stream and the end of this list are in both.
  const { requests } = await call('GET', `requests?limit=${MAX_ENTRIES}`)
  const known = new Set(requests.map(identify))
  clearJournal()
  arrived = requests.toReversed()
  showArrived()
  showConnection('live')
  for await (const { event, data } of stream) {
    if (event === 'emptied') {
      // The list may have been read after this, and then the stream repeats all of it.
      known.clear()
      clearJournal()
      continue
    }
    const record = /** @type {JournalRecord} */ (data)
    if (known.delete(identify(record))) continue
    if (arrived.length === 0) {
      requestAnimationFrame(() => {
        showArrived()
        onRequests()
      })
    }
    arrived.push(record)
    // A page in the background has no frames.
    if (arrived.length > MAX_ENTRIES) arrived.shift()
  }
}

/** Clients may send the same id again. @param {JournalRecord} record */
function identify({ id, time, duration }) {
  return JSON.stringify([id, time, duration])
}

/** @param {'live' | 'reconnecting'} state */
function showConnection(state) {
  const badge = find('connection')
  badge.textContent = state
  badge.classList.toggle('warn', state !== 'live')
}

/** Puts what has arrived on top, in one change of the page. */
function showArrived() {
  const matches = createMatcher()
  const added = arrived.reverse().map(toEntry)
  arrived = []
  for (const entry of added) entry.row.hidden = !matches(entry)
  for (const { row } of entries.splice(Math.max(0, MAX_ENTRIES - added.length))) row.remove()
  entries.unshift(...added)
  find('journal').prepend(...added.map(({ row }) => row))
  summarise()
}

/** @param {JournalRecord} record @returns {Entry} */
function toEntry(record) {
  const { time, outcome, method, path, reason, id, status } = record
  const text = [method, path, reason, id, status, callerOf(record), record.tokenId, record.explanation].join(' ')
  return { record, time: Date.parse(time), outcome, text: text.toLowerCase(), row: createEntry(record) }
}

/** @returns {(entry: Entry) => boolean} what the filters let through. */
function createMatcher() {
  const { contract, outcome, text = '' } = valuesOf(find('filters', HTMLFormElement))
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  return (entry) =>
    (!contract || entry.record.contract === contract) &&
    (!outcome || entry.outcome === outcome) &&
    words.every((word) => entry.text.includes(word))
}

function filter() {
  const matches = createMatcher()
  for (const entry of entries) entry.row.hidden = !matches(entry)
  summarise()
}

function summarise() {
  const shown = entries.filter(({ row }) => !row.hidden).length
  const all = `${entries.length} ${entries.length === 1 ? 'request' : 'requests'}`
  find('count').textContent = shown === entries.length ? all : `${shown} of ${all}`
  find('empty').hidden = entries.length > 0
  refreshChart()
}

/** Moves between requests with the arrow keys. @param {KeyboardEvent} event */
function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  const { target } = event
  if (!step || !(target instanceof HTMLElement) || target.tagName !== 'SUMMARY') return
  event.preventDefault()
  const rows = entries.map(({ row }) => row).filter((row) => !row.hidden)
  const index = rows.findIndex((row) => row.contains(target))
  rows[index + step]?.querySelector('summary')?.focus()
}
