// One request of the journal, as the list shows it.

import { call } from './api.js'
import { toCurl } from './curl.js'
import { attempt, create, createButton } from './dom.js'

/** @import { JournalRecord } from '../../journal/schema.ts' */

const COPIED_MS = 1_500

/**
 * Creates the row of a request. Its details are made when the reader opens them: a thousand rows stay small.
 *
 * @param {JournalRecord} record
 */
export function createEntry(record) {
  const { outcome, explanation } = record
  const details = create('details', {}, createSummary(record))
  details.addEventListener(
    'toggle',
    () => attempt(async () => details.append(...createDetails(await complete(record)))),
    {
      once: true,
    },
  )
  const refusal = explanation
    ? create('p', { class: 'explanation' }, ...withCode(explanation), ' ', createCopyButton(record))
    : undefined
  return create('li', { class: `entry ${outcome}` }, details, refusal)
}

/** Returns a request with what a list leaves out. @param {JournalRecord} record @returns {Promise<JournalRecord>} */
async function complete(record) {
  return record.brief ? call('GET', `requests/${encodeURIComponent(record.id)}`) : record
}

/** @param {JournalRecord} record */
function createSummary(record) {
  const { time, method, path, outcome, reason, status, injected, duration } = record
  return create(
    'summary',
    {},
    create('time', { datetime: time, title: time }, time.slice(11, 19)),
    create('span', { class: 'request' }, create('b', {}, method), ` ${path}`),
    create('span', { class: 'caller' }, callerOf(record) ?? ''),
    create(
      'span',
      { class: `outcome ${outcome}` },
      reason ?? outcome,
      injected ? ' ' : undefined,
      injected ? create('span', { class: 'badge warn' }, 'injected') : undefined,
    ),
    create('span', { class: 'status' }, status === 0 ? 'no reply' : String(status)),
    create('span', { class: 'duration' }, `${duration < 10 ? duration.toFixed(1) : Math.round(duration)} ms`),
  )
}

/** @param {JournalRecord} record */
export function callerOf({ app, account, client, resourceServer }) {
  return app ?? account ?? client ?? resourceServer
}

/** @param {JournalRecord} record */
function createDetails(record) {
  const { id, contract, operation, tokenId, address, fault, query, headers, body, replyHeaders, token } = record
  const facts = { request: id, contract, operation, token: tokenId, fault, address }
  return [
    create('dl', { class: 'facts' }, ...describe(facts)),
    create('pre', { class: 'curl' }, create('code', {}, toCurl(record))),
    ...(record.explanation ? [] : [create('p', {}, createCopyButton(record))]),
    ...describeSection('Query', query),
    ...describeSection('Headers', headers),
    ...describeSection('Body', body),
    ...describeSection('Token in the request, not verified', token?.claims),
    ...describeSection('Headers of the reply', replyHeaders),
  ]
}

/** @param {string} title @param {unknown} value */
function describeSection(title, value) {
  if (value === undefined) return []
  const content =
    typeof value === 'object' && value !== null
      ? create('dl', { class: 'facts' }, ...describe(/** @type {Record<string, unknown>} */ (value)))
      : create('pre', {}, String(value))
  return [create('h3', {}, title), content]
}

/**
 * Describes named values as terms of a list.
 *
 * @param {Record<string, unknown>} facts
 */
export function describe(facts) {
  return Object.entries(facts).flatMap(([name, value]) =>
    value === undefined ? [] : [create('dt', {}, name), create('dd', {}, toText(value))],
  )
}

/** Marks what stands between backticks. @param {string} text */
export function withCode(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? create('code', {}, part) : part))
}

/** @param {unknown} value */
function toText(value) {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** @param {JournalRecord} record */
function createCopyButton(record) {
  const button = createButton('Copy as curl', async () => {
    // Browsers offer the clipboard to https and to this machine only.
    if (!navigator.clipboard) throw new Error('no clipboard without https; open the request and copy its curl line')
    await navigator.clipboard.writeText(toCurl(await complete(record)))
    button.textContent = 'Copied'
    setTimeout(() => {
      button.textContent = 'Copy as curl'
    }, COPIED_MS)
  })
  return button
}
