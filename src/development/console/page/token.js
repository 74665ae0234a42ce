// A token, issued here or pasted: decoded, and verified by the server.

import { call } from './api.js'
import { create, createButton, find, onSubmit } from './dom.js'
import { describe, withCode } from './entry.js'
import { createRelativeTime } from './time.js'
import { createUse } from './use.js'

/** @import { DecodedToken, UsedToken } from '../decode.ts' */

/** What is shown, to verify it again after the clock was set. @type {{ readonly token: string } | undefined} */
let shown

export function startTokens() {
  const form = onSubmit('decode', ({ token = '' }) => showToken(extractToken(token)))
  form.addEventListener('reset', hideToken)
}

/**
 * Decodes a token and shows it.
 *
 * @param {string} token
 */
export async function showToken(token) {
  shown = { token }
  await refreshToken()
}

/** Verifies the token that is shown once more. */
export async function refreshToken() {
  const asked = shown
  if (!asked) return
  const decoded = await call('POST', 'decode', asked)
  if (shown === asked) show(decoded)
}

function hideToken() {
  shown = undefined
  find('decoded').replaceChildren()
}

/** Takes a token out of what contains it: a header, a JSON reply. @param {string} text */
function extractToken(text) {
  const [jws] = /[\w-]+\.[\w-]+\.[\w-]+/.exec(text) ?? []
  return jws ?? text.trim().replace(/^bearer /i, '')
}

/** @param {UsedToken} decoded */
function show(decoded) {
  const { contract, tokenId, claims, meaning, session, notBefore, expires, use } = decoded
  find('decoded').replaceChildren(
    create('h3', {}, `${contract} token`, ' ', createVerdict(decoded)),
    ...(decoded.accepted ? [] : [create('p', { class: 'explanation' }, ...withCode(decoded.explanation))]),
    create('dl', { class: 'facts' }, ...describe({ id: tokenId, ...session }), ...times({ notBefore, expires })),
    ...(meaning ? [createBits(decoded)] : []),
    ...(use ? createUse(use) : []),
    ...(claims ? [create('details', {}, create('summary', {}, 'Claims'), createJson(claims))] : []),
    createButton('Forget', hideToken),
  )
}

/** @param {DecodedToken} decoded */
function createVerdict(decoded) {
  if (!decoded.accepted) return create('span', { class: 'outcome refused' }, decoded.reason)
  const tries = decoded.triesLeft === undefined ? '' : `, ${decoded.triesLeft} tries left`
  return create('span', { class: 'outcome issued' }, `verifies${tries}`)
}

/** @param {{ notBefore: string | undefined, expires: string | undefined }} given */
function times({ notBefore, expires }) {
  return Object.entries({ 'valid from': notBefore, expires }).flatMap(([name, time]) =>
    time === undefined ? [] : [create('dt', {}, name), create('dd', {}, createRelativeTime(time))],
  )
}

/** Spells out the bits of a BWS token. @param {DecodedToken} decoded */
function createBits({ claims, meaning }) {
  const { task, maxtries, livedetection, challenge, autoenroll, traits = [] } = meaning ?? {}
  const yesOrNo = (/** @type {boolean | undefined} */ bit) => (bit ? 'yes' : 'no')
  const facts =
    task === undefined
      ? { task: `${claims?.task}: no bits of a task` }
      : {
          task: `${claims?.task} = ${toBinary(Number(claims?.task), 16)}`,
          'its operation': task,
          'its tries': String(maxtries),
          'live detection': yesOrNo(livedetection),
          'challenge response': yesOrNo(challenge),
          'auto-enrolment': yesOrNo(autoenroll),
        }
  const traitBits = `${claims?.traits} = ${toBinary(Number(claims?.traits), 4)}: ${traits.join(', ') || 'none'}`
  return create('dl', { class: 'facts bits' }, ...describe({ ...facts, traits: traitBits }))
}

/** @param {number} bits @param {number} width */
function toBinary(bits, width) {
  return bits
    .toString(2)
    .padStart(width, '0')
    .replaceAll(/\d{4}(?=\d)/g, '$& ')
}

/** @param {unknown} value */
function createJson(value) {
  return create(
    'pre',
    { tabindex: '0', role: 'group', 'aria-label': 'Claims as JSON' },
    JSON.stringify(value, undefined, 2),
  )
}
