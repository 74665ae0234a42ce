// nevisFIDO sessions and counts of failed attempts.

import { call } from './api.js'
import { create, createButton, find, showList } from './dom.js'
import { createRelativeTime } from './time.js'

/** @import { GuardCount } from '../../state/guard.ts' */
/** @import { SessionView } from '../../state/sessions.ts' */

/** The outcome whose colour a status has. @type {Record<string, string>} */
const COLOURS = {
  succeeded: 'issued',
  failed: 'refused',
  clientRegistering: 'redeemed',
  clientAuthenticating: 'redeemed',
}

/** Shows the sessions with their status at this moment. */
export async function refreshSessions() {
  /** @type {{ sessions: SessionView[] }} */
  const { sessions } = await call('GET', 'sessions')
  showList(find('session-list'), sessions, {
    keyOf: ({ session }) => session,
    render: renderSession,
    none: 'No sessions.',
  })
}

/** @param {SessionView} session */
function renderSession({ operation, username, status, expires, changed }) {
  const isEnded = status === 'succeeded' || status === 'failed'
  return [
    create('span', {}, create('b', {}, operation), username === undefined ? '' : ` of ${username}`),
    create('span', { class: `outcome ${COLOURS[status] ?? 'checked'}` }, status),
    create('small', {}, isEnded ? 'changed ' : 'expires ', createRelativeTime(isEnded ? changed : expires)),
  ]
}

/** Shows the counts of failed attempts. */
export async function refreshGuard() {
  /** @type {{ counts: GuardCount[] }} */
  const { counts } = await call('GET', 'guard')
  showList(find('guard-list'), counts, { keyOf: ({ key }) => key, render: renderCount, none: 'No failed attempts.' })
}

/** @param {GuardCount} count */
function renderCount({ key, failures, blocks, expires }) {
  async function lift() {
    await call('DELETE', `guard/${encodeURIComponent(key)}`)
    await refreshGuard()
  }
  return [
    create('span', {}, create('b', {}, key)),
    create('span', { class: `badge${blocks ? ' warn' : ''}` }, `${failures} failed${blocks ? ', blocked' : ''}`),
    create('small', {}, 'expires ', createRelativeTime(expires)),
    createButton('Lift', lift, `Lift ${key}`),
  ]
}
