// Faults: a form that adds one, and those in force.

import { call } from './api.js'
import { create, createButton, find, onSubmit, showList } from './dom.js'
import { CONTRACTS } from './journal.js'

/** @import { FaultView } from '../../faults/schema.ts' */

/** Effects besides reasons, by the value of their option. @type {Record<string, string>} */
const CONNECTIONS = {
  reset: 'the connection is reset',
  close: 'the connection is closed without a byte',
  hang: 'there is no reply, and the connection stays open',
  cut: 'the connection ends in the middle of the real reply',
  garbage: 'the reply is not HTTP',
}

/** Fills the lists of the form. */
export async function startFaults() {
  const { reasons } = await call('GET', 'reasons')
  const form = onSubmit('add-fault', async (values) => {
    await call('POST', 'faults', toFault(values))
    await refreshFaults()
  })
  const select = (/** @type {string} */ name) => /** @type {HTMLSelectElement} */ (form.elements.namedItem(name))
  const contract = select('contract')
  contract.append(...CONTRACTS.map((name) => create('option', {}, name)))
  const group = (/** @type {string} */ label, /** @type {string} */ kind, /** @type {string[]} */ names) =>
    create('optgroup', { label }, ...names.map((name) => create('option', { value: `${kind}:${name}` }, name)))
  const effect = select('effect')
  effect.append(
    group('refused, in the words of the contract', 'reason', Object.keys(reasons)),
    group('connection', 'connection', Object.keys(CONNECTIONS)),
    group('store', 'store', ['unavailable']),
  )
  contract.addEventListener('input', () => {
    for (const option of effect.options) {
      const [kind, name = ''] = option.value.split(':')
      option.hidden = kind === 'reason' && contract.value !== '' && !reasons[name].contracts.includes(contract.value)
      if (option.hidden && option.selected) effect.selectedIndex = 0
    }
  })
  effect.addEventListener('input', () => {
    const [kind = '', name = ''] = effect.value.split(':')
    const meanings = { reason: reasons[name]?.meaning, connection: CONNECTIONS[name], store: 'the store fails' }
    find('effect-meaning').textContent = meanings[/** @type {keyof typeof meanings} */ (kind)] ?? ''
  })
}

/** @param {Record<string, string>} values of the form. */
function toFault({ contract, effect = '', times, delay }) {
  const [kind = '', name] = effect.split(':')
  return {
    match: contract ? { contract } : {},
    ...(times ? { times: Number(times) } : {}),
    then: { ...(kind ? { [kind]: name } : {}), ...(delay ? { delay } : {}) },
  }
}

/** Shows the faults in force. */
export async function refreshFaults() {
  /** @type {{ faults: FaultView[] }} */
  const { faults } = await call('GET', 'faults')
  showList(find('fault-list'), faults, { keyOf: ({ id }) => id, render: renderFault, none: 'No faults.' })
}

/** @param {FaultView} fault */
function renderFault({ id, match = {}, times, met, then: effect }) {
  const conditions = Object.entries(match).map(([name, value]) => `${name} ${value}`)
  const effects = Object.entries(effect).map(([name, value]) => `${name} ${toText(value)}`)
  const count = times === undefined ? `met ${met}` : `met ${met} of ${times}`
  async function remove() {
    await call('DELETE', `faults/${id}`)
    await refreshFaults()
  }
  return [
    create('span', {}, create('b', {}, effects.join(', ')), ` for ${conditions.join(', ') || 'every request'}`),
    create('span', { class: 'badge' }, count),
    createButton('Delete', remove, `Delete ${id}`),
  ]
}

/** @param {unknown} value */
function toText(value) {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
