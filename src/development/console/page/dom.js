// Small helpers for elements. Text always enters as text, never as HTML.

/**
 * Creates an element with attributes and children. An attribute that is undefined or false is left out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean | undefined>} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function create(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

/**
 * Creates a button.
 *
 * @param {string} text
 * @param {() => Promise<unknown> | void} onClick
 * @param {string} [label] for assistive technology, where the text alone says too little.
 */
export function createButton(text, onClick, label) {
  const button = create('button', { type: 'button', 'aria-label': label }, text)
  button.addEventListener('click', () => attempt(onClick))
  return button
}

/**
 * Finds an element of the page by its id.
 *
 * @template {Element} [Type=HTMLElement]
 * @param {string} id
 * @param {new () => Type} [type]
 * @returns {Type}
 */
export function find(id, type) {
  const element = document.getElementById(id)
  if (!(element instanceof (type ?? HTMLElement))) throw new Error(`no element ${id}`)
  return /** @type {Type} */ (/** @type {unknown} */ (element))
}

/**
 * Returns what a form contains, by the names of its fields.
 *
 * @param {HTMLFormElement} form
 * @returns {Record<string, string>}
 */
export function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]))
}

/**
 * Runs an action when a form is submitted.
 *
 * @param {string} id
 * @param {(values: Record<string, string>, form: HTMLFormElement) => Promise<unknown>} action
 */
export function onSubmit(id, action) {
  const form = find(id, HTMLFormElement)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void attempt(() => action(valuesOf(form), form))
  })
  return form
}

/**
 * Shows a list. Elements whose item is unchanged stay; the focus stays with its item.
 *
 * @template Item
 * @param {HTMLElement} list
 * @param {readonly Item[]} items
 * @param {{ keyOf: (item: Item) => string, render: (item: Item) => (Node | string)[], none: string }} options
 */
export function showList(list, items, { keyOf, render, none }) {
  const state = JSON.stringify(items)
  if (list.dataset.state === state) return
  list.dataset.state = state
  const focusedKey = list.contains(document.activeElement)
    ? /** @type {HTMLElement | undefined} */ (document.activeElement?.closest('[data-key]'))?.dataset.key
    : undefined
  const elements = items.map((item) => create('li', { 'data-key': keyOf(item) }, ...render(item)))
  list.replaceChildren(...(elements.length > 0 ? elements : [create('li', { class: 'hint' }, none)]))
  if (focusedKey === undefined) return
  const focused = elements.find(({ dataset }) => dataset.key === focusedKey)
  focused?.querySelector('button')?.focus()
}

/**
 * Runs an action of the reader, and shows why it failed.
 *
 * @param {() => Promise<unknown> | void} action
 */
export async function attempt(action) {
  try {
    await action()
    showMessage('')
  } catch (error) {
    showMessage(error instanceof Error ? error.message : String(error))
  }
}

/** @param {string} text empty to remove the message. */
function showMessage(text) {
  const message = find('message')
  message.hidden = text === ''
  message.textContent = text
}
