// glewlwyd as Debian installs it, with SQLite: the client credentials grant, which signs HS256. Its password grant hashes
// the password for each token.

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { findFreePort } from '../../test/support/ports.ts'
import { waitUntilListening } from '../environment.ts'
import { killOnExit } from '../process.ts'
import { announce } from './announce.ts'

const SCHEMA = '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3'
const MODULES = '/usr/lib/glewlwyd'

const port = await findFreePort()
execFileSync('sqlite3', ['glewlwyd.db'], { input: readFileSync(SCHEMA) })
const settings = [
  `port = ${port}`,
  ...Object.entries({
    bind_address: '127.0.0.1',
    external_url: `http://127.0.0.1:${port}/`,
    login_url: 'login.html',
    api_prefix: 'api',
    log_mode: 'console',
    log_level: 'ERROR',
    session_key: 'session',
    admin_scope: 'g_admin',
    profile_scope: 'g_profile',
    user_module_path: `${MODULES}/user`,
    client_module_path: `${MODULES}/client`,
    user_auth_scheme_module_path: `${MODULES}/scheme`,
    plugin_module_path: `${MODULES}/plugin`,
    hash_algorithm: 'SHA512',
  }).map(([name, value]) => `${name} = "${value}"`),
  `database = { type = "sqlite3"; path = "${resolve('glewlwyd.db')}" }`,
]
writeFileSync('glewlwyd.conf', settings.join('\n'))
killOnExit(spawn('glewlwyd', ['--config-file=glewlwyd.conf'], { stdio: 'inherit' }))
await waitUntilListening(port)

let cookie = ''
async function post(path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json', cookie }
  const url = `http://127.0.0.1:${port}/api/${path}/`
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  cookie ||= response.headers.get('set-cookie')?.split(';', 1)[0] ?? ''
}
await post('auth', { username: 'admin', password: 'password' })
await post('mod/plugin', {
  module: 'oauth2-glewlwyd',
  name: 'oauth2',
  display_name: 'OAuth 2',
  parameters: {
    url: 'oauth2',
    'jwt-type': 'sha',
    'jwt-key-size': '256',
    key: randomBytes(32).toString('base64url'),
    'access-token-duration': 600,
    'refresh-token-duration': 600,
    'code-duration': 600,
    'refresh-token-rolling': true,
    'auth-type-code-enabled': false,
    'auth-type-implicit-enabled': false,
    'auth-type-password-enabled': false,
    'auth-type-client-enabled': true,
    'auth-type-refresh-enabled': false,
  },
})
await post('client', {
  client_id: 'shop',
  name: 'Shop',
  confidential: true,
  enabled: true,
  client_secret: 'the secret of the shop',
  authorization_type: ['client_credentials'],
  scope: ['scanning'],
  redirect_uri: [],
})
announce(port)
