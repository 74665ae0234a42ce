// What a token was used for at the stand-ins: samples, attempts and journeys.

import { create } from './dom.js'
import { createRelativeTime } from './time.js'

/** @import { UseView } from '../../stand-ins/part.ts' */

/**
 * Creates the lists that are not empty.
 *
 * @param {UseView} use
 */
export function createUse({ samples = [], attempts = [], journeys = [] }) {
  return [
    ...createList('Samples for the next attempt', samples, describeSample),
    ...createList('Attempts', attempts, describeAttempt),
    ...createList('Journeys', journeys, describeJourney),
  ]
}

/**
 * @template Item
 * @param {string} title
 * @param {readonly Item[]} items
 * @param {(item: Item) => (Node | string)[]} render
 */
function createList(title, items, render) {
  if (items.length === 0) return []
  const list = create(
    'ol',
    { class: 'items', 'aria-label': title },
    ...items.map((item) => create('li', {}, ...render(item))),
  )
  return [create('h4', {}, title), list]
}

/** @param {NonNullable<UseView['samples']>[number]} sample */
function describeSample({ format, width, height, directions, index, time }) {
  const tag = directions.length > 0 ? directions.join(', ') : 'any'
  const position = index === undefined ? '' : `, index ${index}`
  return [create('span', {}, `${format} ${width} × ${height}, tag ${tag}${position}`), createTime(time)]
}

/** @param {NonNullable<UseView['attempts']>[number]} attempt */
function describeAttempt({ task, success, error, time }) {
  const outcome = success ? 'success' : (error ?? 'not recognised')
  return [
    create('span', {}, create('b', {}, task)),
    create('span', { class: `outcome ${success ? 'issued' : 'refused'}` }, outcome),
    createTime(time),
  ]
}

/** @param {NonNullable<UseView['journeys']>[number]} journey */
function describeJourney({ id, documents, initiated }) {
  return [create('span', {}, id), create('span', {}, `${documents} uploaded`), createTime(initiated)]
}

/** @param {number} time milliseconds since the epoch. */
function createTime(time) {
  return create('small', {}, createRelativeTime(new Date(time).toISOString()))
}
