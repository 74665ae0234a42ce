// Real requests for a token, sent from the page as a client would.

import { call, SERVER_URL } from './api.js'
import { create, find, onSubmit } from './dom.js'
import { showToken } from './token.js'

/**
 * @typedef {object} Field
 * @property {string} label
 * @property {string} [value]
 * @property {readonly string[]} [options]
 * @property {boolean} [secret]
 * @property {boolean} [optional]
 *
 * @typedef {Record<string, string>} Values
 *
 * @typedef {object} Contract
 * @property {Record<string, Field>} fields
 * @property {(values: Values) => [path: string, init: RequestInit]} request
 * @property {(text: string) => string | undefined} tokenIn
 */

/** Public credentials of the built-in demo. */
const DEMO = { app: 'demo-app', appSecret: 'demo-secret', account: 'demo', password: 'demo-password' }

/** @param {Values} values */
const basic = ({ id, secret }) => `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${id}:${secret}`)))}`

/** @param {{ app: string, account: string }} names @returns {Record<string, Contract>} */
function describeContracts({ app, account }) {
  return {
    bws: {
      fields: {
        id: { label: 'App-ID', value: app },
        secret: { label: 'Secret', secret: true, value: app === DEMO.app ? DEMO.appSecret : '' },
        bcid: { label: 'BCID', value: 'bws.112.12345', optional: true },
        task: { label: 'Task', options: ['verify', 'identify', 'enroll', 'livenessdetection'] },
        maxtries: { label: 'Tries', value: '3' },
        challenge: { label: 'Challenge', options: ['false', 'true'] },
      },
      request: ({ id = '', secret = '', ...options }) => [
        `token?${new URLSearchParams({ id, ...options })}`,
        { headers: { authorization: basic({ id, secret }) } },
      ],
      tokenIn: (text) => text,
    },
    idscan: {
      fields: {
        username: { label: 'Username', value: account },
        password: { label: 'Password', secret: true, value: account === DEMO.account ? DEMO.password : '' },
        area: { label: 'Area', options: ['scanning', 'investigation', 'administration'] },
      },
      request: (values) => [
        'idscanenterprisesvc/token',
        { method: 'POST', body: new URLSearchParams({ grant_type: 'password', ...values }) },
      ],
      tokenIn: (text) => JSON.parse(text).access_token,
    },
    nevisfido: {
      fields: {
        operation: { label: 'Operation', options: ['registration', 'authentication', 'deregistration'] },
        username: { label: 'User', value: 'jeff' },
        id: { label: 'Client', optional: true },
        secret: { label: 'Secret', secret: true, optional: true },
      },
      request: ({ operation = '', username, id = '', secret = '' }) => [
        `nevisfido/token/create/${operation}`,
        {
          method: 'POST',
          headers: {
            accept: 'application/json',
            'content-type': 'application/fido+uaf;charset=UTF-8',
            ...(id ? { authorization: basic({ id, secret }) } : {}),
          },
          body: JSON.stringify({ op: OPS[operation], context: JSON.stringify({ username }) }),
        },
      ],
      tokenIn: (text) => JSON.parse(text).token,
    },
  }
}

/** The `op` of each operation. @type {Record<string, string>} */
const OPS = { registration: 'Reg', authentication: 'Auth', deregistration: 'Dereg' }

/** Offers a form for each contract that the configuration switches on. */
export async function startIssuing() {
  const configuration = await call('GET', 'configuration')
  const contracts = describeContracts({
    app: configuration.bws?.apps?.[0]?.id ?? '',
    account: configuration.idscan?.accounts?.[0]?.username ?? '',
  })
  const enabled = Object.keys(contracts).filter((name) => configuration[name])
  const select = /** @type {HTMLSelectElement} */ (find('issue', HTMLFormElement).elements.namedItem('contract'))
  select.append(...enabled.map((name) => create('option', {}, name)))
  const showFields = () => {
    const { fields = {} } = contracts[select.value] ?? {}
    find('issue-fields').replaceChildren(...Object.entries(fields).map(createField))
  }
  select.addEventListener('input', showFields)
  showFields()
  onSubmit('issue', async ({ contract: name = '', ...values }) => {
    const contract = contracts[name]
    if (!contract) throw new Error('no contract is switched on')
    const [path, init] = contract.request(values)
    // Without credentials of the browser: it must not ask for a password after a 401.
    const response = await fetch(SERVER_URL + path, { ...init, credentials: 'omit' })
    const token = response.ok ? contract.tokenIn(await response.text()) : undefined
    if (!token) throw new Error(`no token (status ${response.status}); the journal explains why`)
    await showToken(token)
  })
}

/** @param {[string, Field]} field */
function createField([name, { label, value, options, secret = false, optional = false }]) {
  const input = options
    ? create('select', { name }, ...options.map((option) => create('option', {}, option)))
    : create('input', {
        name,
        value,
        type: secret ? 'password' : 'text',
        autocomplete: 'off',
        spellcheck: 'false',
        required: !optional,
      })
  return create('label', {}, `${label} `, input)
}
