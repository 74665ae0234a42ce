// The bar that sets Trimint's clock.

import { call } from './api.js'
import { attempt, find } from './dom.js'
import { formatDuration, now, setTime, updateRelativeTimes } from './time.js'

/** An offset below this is the time that a request took. */
const MIN_OFFSET_MS = 500

let isFrozen = false

/** Makes the buttons work. @param {() => Promise<unknown>} onChanged called after the clock was set. */
export function startClock(onChanged) {
  /** @param {'PATCH' | 'DELETE'} method @param {object} [change] */
  async function set(method, change) {
    show(await call(method, 'clock', change))
    await onChanged()
  }
  for (const button of document.querySelectorAll('[data-advance]')) {
    const advance = button.getAttribute('data-advance')
    button.addEventListener('click', () => attempt(() => set('PATCH', { advance })))
  }
  find('freeze').addEventListener('click', () => attempt(() => set('PATCH', { freeze: !isFrozen })))
  find('reset-clock').addEventListener('click', () => attempt(() => set('DELETE')))
}

/** Reads the clock, which other programs may have set. */
export async function refreshClock() {
  show(await call('GET', 'clock'))
}

/** @param {{ now: string, offset: number, frozen: boolean }} reading */
function show(reading) {
  setTime(reading)
  isFrozen = reading.frozen
  const freeze = find('freeze')
  freeze.setAttribute('aria-pressed', String(isFrozen))
  const isOff = Math.abs(reading.offset) >= MIN_OFFSET_MS
  const offset = isOff ? `${formatDuration(reading.offset)} ${reading.offset > 0 ? 'ahead' : 'behind'}` : ''
  // A frozen clock falls behind all the time, which a screen reader must not tell again and again.
  const state = isFrozen ? 'frozen' : offset || 'system time'
  const badge = find('offset')
  if (badge.textContent !== state) badge.textContent = state
  badge.classList.toggle('warn', isFrozen || isOff)
  tick()
}

/** Shows the time of this moment. */
export function tick() {
  const [date = '', time = ''] = new Date(now()).toISOString().split('T')
  const element = find('now')
  element.textContent = `${date} ${time.slice(0, 8)} UTC`
  element.setAttribute('datetime', `${date}T${time}`)
  updateRelativeTimes()
}
