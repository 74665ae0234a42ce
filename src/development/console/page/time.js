// Trimint's time in the page, and words for it.

import { create } from './dom.js'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** @type {{ now: number, frozen: boolean, readAt: number }} */
let reading = { now: 0, frozen: true, readAt: 0 }

/** Returns the browser's monotonic time in milliseconds. */
const elapsed = () => Number(document.timeline.currentTime ?? 0)

/**
 * Takes over what `GET /_trimint/clock` told.
 *
 * @param {{ now: string, frozen: boolean }} told
 */
export function setTime({ now, frozen }) {
  reading = { now: Date.parse(now), frozen, readAt: elapsed() }
}

/** Returns Trimint's time, in milliseconds since the epoch. */
export function now() {
  return reading.frozen ? reading.now : reading.now + elapsed() - reading.readAt
}

/**
 * Words a duration with its two largest units, such as `9 min 50 s`.
 *
 * @param {number} durationMs
 */
export function formatDuration(durationMs) {
  const total = Math.abs(durationMs)
  /** @type {[number, string][]} */
  const units = [
    [DAY, 'd'],
    [HOUR, 'h'],
    [MINUTE, 'min'],
    [SECOND, 's'],
  ]
  const first = units.findIndex(([size]) => total >= size)
  if (first === -1) return '0 s'
  let rest = total
  const parts = units.slice(first, first + 2).map(([size, unit]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count > 0 ? `${count} ${unit}` : ''
  })
  return parts.filter(Boolean).join(' ')
}

/** @param {number} time milliseconds since the epoch. */
function formatRelative(time) {
  const difference = Math.round((time - now()) / SECOND) * SECOND
  if (difference === 0) return 'now'
  return difference > 0 ? `in ${formatDuration(difference)}` : `${formatDuration(difference)} ago`
}

/**
 * Creates an element that shows how far a time is from Trimint's, and follows its clock.
 *
 * @param {string} time ISO 8601.
 */
export function createRelativeTime(time) {
  const title = new Date(time).toISOString().replace('T', ' ').replace('.000Z', ' UTC')
  return create('time', { datetime: time, title, 'data-relative': true }, formatRelative(Date.parse(time)))
}

/** Updates every element of {@link createRelativeTime}. */
export function updateRelativeTimes() {
  for (const element of document.querySelectorAll('time[data-relative]')) {
    const text = formatRelative(Date.parse(element.getAttribute('datetime') ?? ''))
    if (element.textContent !== text) element.textContent = text
  }
}
