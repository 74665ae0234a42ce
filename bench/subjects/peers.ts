// Who Trimint is measured beside. What they check and keep is less than what Trimint does: no audit log, no guard, no store on disk, and
// passwords compared as they are. Not a program of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../../test/support/ports.ts'
import { findProgram } from '../../test/support/programs.ts'
import { formatRequest } from '../load/http.ts'
import type { Requests } from '../load/protocol.ts'
import { adopt } from '../support.ts'
import { startNode, startProgram } from './process.ts'
import type { Subject } from './subject.ts'

const FOLDER = resolve(import.meta.dirname, '../peers')

/** Milliseconds until a peer that does not listen is given up. */
const START_TIMEOUT = 15_000

const GET: Requests = {
  request: formatRequest({ method: 'GET', path: '/' }),
  expect: { status: 200, body: '^([\\w-]+\\.){2}[\\w-]+$' },
}

const passwordGrant = (path: string, body: string, extra: Readonly<Record<string, string>> = {}): Requests => ({
  request: formatRequest({
    method: 'POST',
    path,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'password',
      username: 'anna',
      password: 'right-password',
      client_id: 'shop',
      client_secret: 'the secret of the shop',
      ...extra,
    }).toString(),
  }),
  expect: { status: 200, body },
})

const SOME_TOKEN = '"access_token":"[\\w.-]+"'
const SIGNED_TOKEN = '"access_token":"[\\w-]+\\.[\\w-]+\\.[\\w-]+"'

function nodePeer(
  name: string,
  title: string,
  script: string,
  requests: Requests,
  env: Readonly<Record<string, string>> = {},
): Subject {
  return {
    name,
    title,
    isPeer: true,
    async start({ core }) {
      const started = startNode({ script: join(FOLDER, script), core, env: { NODE_ENV: 'production', ...env } })
      const first = await Promise.race([
        once(started.child, 'message'),
        once(started.child, 'exit').then(() => undefined),
      ])
      if (!first) throw new Error(`${script} did not start`)
      return { port: (first[0] as { port: number }).port, process: started, requests }
    },
  }
}

/** nginx with its JavaScript module, both as Debian has them. */
const NGINX_MODULE = '/usr/lib/nginx/modules/ngx_http_js_module.so'

const nginx: Subject = {
  name: 'nginx-njs',
  title: 'nginx with njs, signs HS256',
  isPeer: true,
  async start({ core, folder: parent }) {
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
    const started = startProgram(command, { core, folder })
    await waitUntilListening(port)
    return { port, process: started, requests: GET }
  },
}

async function waitUntilListening(port: number): Promise<void> {
  const end = performance.now() + START_TIMEOUT
  while (performance.now() < end) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await sleep(20)
  }
  throw new Error(`nobody listens on ${port}`)
}

export const PEERS: readonly Subject[] = [
  nodePeer('fastify', 'Fastify, an empty route', 'fastify-empty.ts', {
    ...GET,
    expect: { status: 200, body: '^\\{"status":"ok"\\}$' },
  }),
  nodePeer('node-sign', 'node:http that signs HS256', 'node-sign.ts', GET),
  nodePeer('oidc-jwt', 'oidc-provider, JWT', 'oidc-provider.ts', passwordGrant('/token', SIGNED_TOKEN), {
    JWT_TOKENS: '1',
  }),
  nodePeer('oidc-opaque', 'oidc-provider, opaque', 'oidc-provider.ts', passwordGrant('/token', SOME_TOKEN)),
  nodePeer('oauth2-server', '@node-oauth/oauth2-server', 'oauth2-server.ts', passwordGrant('/token', SOME_TOKEN)),
  nodePeer('jmondi', '@jmondi/oauth2-server', 'jmondi.ts', passwordGrant('/token', SIGNED_TOKEN)),
  nodePeer(
    'mock-server',
    'oauth2-mock-server, RS256',
    'mock-server.ts',
    passwordGrant('/token', SIGNED_TOKEN, { scope: 'scanning' }),
  ),
  nginx,
]

/** Why a peer cannot be measured here; undefined where it can. */
export function whyMissing({ name }: Subject): string | undefined {
  if (name !== nginx.name) return undefined
  if (findProgram('nginx') && existsSync(NGINX_MODULE)) return undefined
  return 'not installed (Debian: nginx and libnginx-mod-http-js)'
}

/** Brings the packages that peers need, where they are not there yet. None of their install scripts is run. */
export async function installPeers(): Promise<void> {
  if (existsSync(join(FOLDER, 'node_modules'))) return
  const child = adopt(
    spawn('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', FOLDER], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  )
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error('npm ci of bench/peers failed')
}
