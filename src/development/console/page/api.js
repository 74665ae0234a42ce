// Requests to the control API, with `control.token` where the server asks for it.

import { find } from './dom.js'

const STORAGE_KEY = 'trimint.control.token'

/** The path prefix of this server, with a slash at the end. */
export const SERVER_URL = new URL('..', document.baseURI).href

/** @type {Promise<void> | undefined} */
let asking

/**
 * Calls the control API.
 *
 * @param {'GET' | 'POST' | 'PATCH' | 'DELETE'} method
 * @param {string} path relative to `/_trimint/`.
 * @param {unknown} [body] sent as JSON.
 * @returns {Promise<any>} the JSON of the reply; undefined for a reply without a body.
 * @throws {Error} with the description of the server.
 */
export async function call(method, path, body) {
  const response = await send(path, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return response.status === 204 ? undefined : response.json()
}

/**
 * Follows server-sent events. `EventSource` cannot send `Authorization`.
 *
 * @param {string} path
 * @returns {Promise<AsyncGenerator<{ event: string, data: unknown }>>} resolves once the server sends, so that no event is
 *   missed from then on.
 */
export async function follow(path) {
  const { body } = await send(path, {})
  if (!body) throw new Error('the stream has no body')
  return readEvents(body)
}

/** @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream */
async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  let pending = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (pending + value).split('\n\n')
    pending = events.pop() ?? ''
    for (const text of events) {
      const { event = 'message', data } = Object.fromEntries(text.split('\n').map((line) => line.split(/: (.*)/s)))
      if (data) yield { event, data: JSON.parse(data) }
    }
  }
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
async function send(path, init) {
  const kept = sessionStorage.getItem(STORAGE_KEY)
  const headers = { ...init.headers, ...(kept ? { authorization: `Bearer ${kept}` } : {}) }
  const response = await fetch(path, { ...init, headers })
  if (response.ok) return response
  if (response.status === 401) {
    // A request that was sent before the reader had entered the token tries again with it.
    if (sessionStorage.getItem(STORAGE_KEY) === kept) await askForToken()
    return send(path, init)
  }
  const { error_description: description = `status ${response.status}` } = await response.json().catch(() => ({}))
  throw new Error(description)
}

/** Asks the reader once, however many requests wait for it. */
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = find('sign-in', HTMLDialogElement)
    const input = /** @type {HTMLInputElement} */ (dialog.querySelector('input'))
    input.value = ''
    // Without a token, the page shows nothing.
    const keepOpen = (/** @type {Event} */ event) => event.preventDefault()
    dialog.addEventListener('cancel', keepOpen)
    dialog.addEventListener(
      'close',
      () => {
        dialog.removeEventListener('cancel', keepOpen)
        sessionStorage.setItem(STORAGE_KEY, input.value)
        asking = undefined
        resolve(undefined)
      },
      { once: true },
    )
    dialog.showModal()
  })
  return asking
}
