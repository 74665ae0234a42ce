import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { expected } from '../../config/value-schemas.ts'
import { REFUSAL_REASONS } from '../../http/refusal.ts'
import { REASONS } from '../../observability/reasons.ts'
import { parseInput, serveMethods } from '../control/routes.ts'
import { CONTRACTS } from '../faults/schema.ts'
import type { Part, PartDependencies } from '../part.ts'
import type { UseView } from '../stand-ins/part.ts'
import { decodeToken, type UsedToken } from './decode.ts'

/** The files of the page, by their path below `/_trimint/console`. */
const FILES = [
  'style.css',
  'api.js',
  'chart.js',
  'clock.js',
  'curl.js',
  'dom.js',
  'entry.js',
  'faults.js',
  'icon.svg',
  'issue.js',
  'journal.js',
  'main.js',
  'sessions.js',
  'time.js',
  'token.js',
  'use.js',
] as const

const TYPES = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
} as const

/** Only resources of this server, without inline scripts and styles (L26). */
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The page has no secrets, and has to load before it can ask for `control.token`. */
const PUBLIC = { config: { needsNoToken: true } }

/** The body of `POST /_trimint/decode`. */
export const decodeInput = z.strictObject({
  token: z.string(expected('a token')).trim().min(1, expected('a token')),
})

/** Serves the console, a page that uses the control API, and what it needs besides (L25, L26). */
export function createConsolePart(
  { clock, reasons }: PartDependencies,
  viewUse: (tokenId: string) => UseView | undefined,
): Part {
  const loading = new Map<string, Promise<Buffer>>()
  const explained = Object.fromEntries(
    REFUSAL_REASONS.map((reason) => {
      const contracts = CONTRACTS.filter((contract) => reasons[contract].includes(reason))
      return [reason, { ...REASONS[reason], contracts }]
    }),
  )

  /**
   * Loads each file with its first reader, so that a start does not wait for it. Names are those in `imports` of
   * package.json: the built package has its code in other folders than the sources.
   */
  function loadOnce(name: string): Promise<Buffer> {
    const known = loading.get(name) ?? readFile(fileURLToPath(import.meta.resolve(name)))
    loading.set(name, known)
    known.catch(() => loading.delete(name))
    return known
  }

  async function sendOpenApi(reply: FastifyReply): Promise<FastifyReply> {
    return reply.type('application/json; charset=utf-8').send(await loadOnce('#control-openapi.json'))
  }

  async function send(name: string, reply: FastifyReply): Promise<FastifyReply> {
    const type = TYPES[name.slice(name.lastIndexOf('.') + 1) as keyof typeof TYPES]
    reply.header('content-security-policy', POLICY).header('referrer-policy', 'no-referrer')
    return reply.type(type).send(await loadOnce(`#console/${name}`))
  }

  return {
    routes(app: FastifyInstance, tokens) {
      const page = { ...PUBLIC, prefixTrailingSlash: 'slash' } as const
      serveMethods(app, '/', { GET: (_request, reply) => send('index.html', reply) }, page)
      // The page's links are relative, so that it works behind a proxy that adds a path prefix.
      const withoutSlash = { ...PUBLIC, prefixTrailingSlash: 'no-slash' } as const
      serveMethods(app, '/', { GET: async (_request, reply) => reply.redirect('_trimint/') }, withoutSlash)
      for (const name of FILES) {
        serveMethods(app, `/console/${name}`, { GET: (_request, reply) => send(name, reply) }, PUBLIC)
      }
      serveMethods(app, '/openapi.json', { GET: (_request, reply) => sendOpenApi(reply) })
      serveMethods(app, '/reasons', { GET: async () => ({ reasons: explained }) })
      serveMethods(app, '/decode', {
        async POST({ body }) {
          const decoded = await decodeToken(parseInput(decodeInput, body).token, tokens, clock())
          const use = decoded.accepted || decoded.reason !== 'invalid_token' ? viewUse(decoded.tokenId) : undefined
          return { ...decoded, ...(use ? { use } : {}) } satisfies UsedToken
        },
      })
    },
  }
}
