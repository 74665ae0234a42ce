// Other servers that issue tokens. They do less than Trimint: no audit log, no guard, no store on disk, plain
// passwords.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { findFreePort } from '../../test/support/ports.ts'
import type { Requests } from '../load/client.ts'
import { basic, FORM, formatRequest, JWS } from '../load/http.ts'
import { startServer } from '../server.ts'
import type { Candidate } from './candidate.ts'

const FOLDER = resolve(import.meta.dirname, '../peers')

const get = (expect: string): Requests => ({ request: formatRequest('GET /'), expect })

const grant = (path: string, form: Readonly<Record<string, string>>, expect: string): Requests => {
  const headers = { authorization: basic('shop', 'the secret of the shop'), 'content-type': FORM }
  return { request: formatRequest(`POST ${path}`, headers, new URLSearchParams(form).toString()), expect }
}

const passwordGrant = (expect: string): Requests =>
  grant('/token', { grant_type: 'password', username: 'anna', password: 'right-password' }, expect)

const clientGrant = (path: string): Requests =>
  grant(path, { grant_type: 'client_credentials', scope: 'scanning' }, SIGNED)

const SIGNED = `"access_token":"${JWS}"`
const OPAQUE = '"access_token":"[\\w.-]+"'

/** @param file a configuration file in `bench/peers`; a copy with the port is in the folder that the command runs in */
function peer(name: string, title: string, command: string[], requests: Requests, file?: string): Candidate {
  return {
    name,
    title,
    kind: 'peer',
    async start(environment) {
      const place = environment.place(name)
      const port = await findFreePort()
      if (file) {
        const text = await readFile(join(FOLDER, file), 'utf8')
        await mkdir(place.folder)
        await writeFile(join(place.folder, file), text.replaceAll('{port}', String(port)).replaceAll('{peers}', FOLDER))
      }
      const options = { ...place, port, env: { NODE_ENV: 'production' } }
      return { server: await startServer(command, options, requests.request), requests }
    },
  }
}

const node = (script: string, ...words: string[]): string[] => [process.execPath, join(FOLDER, script), ...words]

const PROGRAMS: readonly Candidate[] = [
  peer('fastify', 'Fastify, an empty route', node('../candidates/fastify-server.ts'), get('^\\{"status":"ok"\\}$')),
  peer('node-sign', 'node:http that signs HS256', node('node-sign.ts'), get(`^${JWS}$`)),
  peer('oidc-jwt', 'oidc-provider, JWT', node('oidc-provider.ts', 'jwt'), passwordGrant(SIGNED)),
  peer('oidc-opaque', 'oidc-provider, opaque', node('oidc-provider.ts'), passwordGrant(OPAQUE)),
  peer('oauth2-server', '@node-oauth/oauth2-server', node('oauth2-server.ts'), passwordGrant(OPAQUE)),
  peer('ts-oauth2-server', '@jmondi/oauth2-server, JWT', node('ts-oauth2-server.ts'), passwordGrant(SIGNED)),
  peer('oauth2-mock-server', 'oauth2-mock-server, signs ES256', node('oauth2-mock-server.ts'), clientGrant('/token')),
  peer(
    'glewlwyd',
    'glewlwyd, JWT, SQLite',
    ['sh', '-c', `sqlite3 glewlwyd.db <${FOLDER}/glewlwyd.sql && exec glewlwyd --config-file=glewlwyd.conf`],
    clientGrant('/api/oauth2/token'),
    'glewlwyd.conf',
  ),
  peer(
    'nginx-njs',
    'nginx with njs, signs HS256',
    ['nginx', '-e', 'error.log', '-p', '.', '-c', 'nginx.conf', '-g', 'daemon off;'],
    get(`^${JWS}$`),
    'nginx.conf',
  ),
]

/** What Debian installs with the packages glewlwyd and libnginx-mod-http-js. */
const INSTALLED: Readonly<Record<string, string>> = {
  glewlwyd: '/usr/bin/glewlwyd',
  'nginx-njs': '/usr/lib/nginx/modules/ngx_http_js_module.so',
}

export const PEERS = PROGRAMS.filter(({ name }) => existsSync(INSTALLED[name] ?? FOLDER))

/** Installs the packages of the peers unless they are present, without their install scripts. */
export function installPeers(): void {
  if (existsSync(join(FOLDER, 'node_modules'))) return
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', FOLDER])
}
