// Other servers that issue tokens. They do less than Trimint: no audit log, no guard, no store on disk, plain
// passwords.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { findFreePort } from '../../test/support/ports.ts'
import { findProgram } from '../../test/support/programs.ts'
import { waitUntilListening } from '../environment.ts'
import { formatRequest } from '../load/http.ts'
import type { Requests } from '../load/protocol.ts'
import { firstMessage, killOnExit, startNode, startProcess } from '../process.ts'
import type { Candidate } from './candidate.ts'

const FOLDER = resolve(import.meta.dirname, '../peers')

const GET: Requests = {
  request: formatRequest({ method: 'GET', path: '/' }),
  expect: { status: 200, body: '^([\\w-]+\\.){2}[\\w-]+$' },
}

const BASIC = `Basic ${Buffer.from('shop:the secret of the shop').toString('base64')}`

const grant = (form: Readonly<Record<string, string>>, body: string, path = '/token'): Requests => ({
  request: formatRequest({
    method: 'POST',
    path,
    headers: { authorization: BASIC, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  }),
  expect: { status: 200, body },
})

const passwordGrant = (body: string): Requests =>
  grant({ grant_type: 'password', username: 'anna', password: 'right-password' }, body)

const OPAQUE = '"access_token":"[\\w.-]+"'
const SIGNED = '"access_token":"[\\w-]+\\.[\\w-]+\\.[\\w-]+"'

function nodePeer(
  name: string,
  title: string,
  script: string,
  requests: Requests,
  env: Readonly<Record<string, string>> = {},
): Candidate {
  return {
    name,
    title,
    kind: 'peer',
    async start({ cores, folder }) {
      const options = { core: cores.server, folder: join(folder, name), env: { NODE_ENV: 'production', ...env } }
      const process = startNode([join(FOLDER, script)], options)
      const { port } = await firstMessage<{ port: number }>(process)
      return { port, process, requests }
    },
  }
}

/** nginx's JavaScript module, where Debian installs it. */
const NGINX_MODULE = '/usr/lib/nginx/modules/ngx_http_js_module.so'

const nginx: Candidate = {
  name: 'nginx-njs',
  title: 'nginx with njs, signs HS256',
  kind: 'peer',
  async start({ cores, folder: parent }) {
    const folder = join(parent, 'nginx')
    await mkdir(folder)
    await copyFile(join(FOLDER, 'nginx-sign.js'), join(folder, 'sign.js'))
    const port = await findFreePort()
    const lines = [
      `load_module ${NGINX_MODULE};`,
      'worker_processes 1; pid nginx.pid; error_log error.log; events { worker_connections 1024; }',
      'http { access_log off; js_import sign from sign.js; client_body_temp_path body; proxy_temp_path proxy;',
      'fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;',
      'keepalive_requests 1000000000; keepalive_timeout 72s;',
      `server { listen 127.0.0.1:${port}; location / { js_content sign.issue; } } }`,
    ]
    await writeFile(join(folder, 'nginx.conf'), lines.join('\n'))
    const command = ['nginx', '-e', 'error.log', '-p', folder, '-c', 'nginx.conf', '-g', 'daemon off;']
    const process = startProcess(command, { core: cores.server, folder })
    await waitUntilListening(port)
    return { port, process, requests: GET }
  },
}

const CLIENT_CREDENTIALS = { grant_type: 'client_credentials', scope: 'scanning' }

const isNginxInstalled = findProgram('nginx') !== undefined && existsSync(NGINX_MODULE)

export const PEERS: readonly Candidate[] = [
  nodePeer('fastify', 'Fastify, an empty route', '../candidates/fastify-server.ts', {
    ...GET,
    expect: { status: 200, body: '^\\{"status":"ok"\\}$' },
  }),
  nodePeer('node-sign', 'node:http that signs HS256', 'node-sign.ts', GET),
  nodePeer('oidc-jwt', 'oidc-provider, JWT', 'oidc-provider.ts', passwordGrant(SIGNED), { JWT_TOKENS: '1' }),
  nodePeer('oidc-opaque', 'oidc-provider, opaque', 'oidc-provider.ts', passwordGrant(OPAQUE)),
  nodePeer('oauth2-server', '@node-oauth/oauth2-server', 'oauth2-server.ts', passwordGrant(OPAQUE)),
  nodePeer('ts-oauth2-server', '@jmondi/oauth2-server, JWT', 'ts-oauth2-server.ts', passwordGrant(SIGNED)),
  nodePeer(
    'oauth2-mock-server',
    'oauth2-mock-server, signs ES256',
    'oauth2-mock-server.ts',
    grant(CLIENT_CREDENTIALS, SIGNED),
  ),
  ...(findProgram('glewlwyd') === undefined
    ? []
    : [
        nodePeer(
          'glewlwyd',
          'glewlwyd, JWT, SQLite',
          'glewlwyd.ts',
          grant(CLIENT_CREDENTIALS, SIGNED, '/api/oauth2/token'),
        ),
      ]),
  // Debian: nginx and libnginx-mod-http-js.
  ...(isNginxInstalled ? [nginx] : []),
]

/** Installs the packages of the peers unless they are present, without their install scripts. */
export async function installPeers(): Promise<void> {
  if (existsSync(join(FOLDER, 'node_modules'))) return
  const words = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', FOLDER]
  const child = killOnExit(spawn('npm', words, { stdio: ['ignore', 'ignore', 'inherit'] }))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`npm ci in bench/peers exited with ${code}`)
}
