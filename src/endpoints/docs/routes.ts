import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, HTTPMethods } from 'fastify'

/** Swagger UI's files from its Fastify plugin. The package swagger-ui-dist reports each installation to its vendor. */
const LIBRARY = fileURLToPath(new URL('static/', import.meta.resolve('@fastify/swagger-ui/package.json')))
const DOCUMENT = new URL('../../../openapi/openapi.json', import.meta.url)

const FILES = {
  '/docs': [import.meta.dirname, 'page.html'],
  '/docs/page.js': [import.meta.dirname, 'page.js'],
  '/docs/swagger-ui-bundle.js': [LIBRARY, 'swagger-ui-bundle.js'],
  '/docs/swagger-ui.css': [LIBRARY, 'swagger-ui.css'],
  '/docs/favicon-32x32.png': [LIBRARY, 'favicon-32x32.png'],
} as const

/**
 * Only resources of this server, without inline scripts and styles. Swagger UI's style sheet has icons as data URLs.
 */
const POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Serves `GET /docs`, the API reference: a page that can send every request to this server. */
export const docsRoutes: FastifyPluginAsync = async (app) => {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('content-security-policy', POLICY)
    reply.header('x-content-type-options', 'nosniff')
    reply.header('referrer-policy', 'no-referrer')
  })

  for (const [url, [root, file]] of Object.entries(FILES)) {
    app.get(url, async (request, reply) => {
      // Loaded for the first request, so that a start does not wait for it.
      const { default: send } = await import('@fastify/send')
      const { statusCode, headers, stream } = await send(request.raw, file, { root })
      return reply.code(statusCode).headers(headers).send(stream)
    })
  }

  // The page's links are relative, so that it works behind a proxy that adds a path prefix.
  app.get('/docs/', async (_request, reply) => reply.redirect('../docs'))

  app.get('/docs/openapi.json', async (_request, reply) => {
    const document = JSON.parse(await readFile(DOCUMENT, 'utf8')) as OpenApi
    reply.header('cache-control', 'no-cache')
    // Relative to the document, so that requests go to the address that the reader used.
    return { ...document, servers: [{ url: '..', description: 'this server' }], paths: served(document.paths) }
  })

  /** Drops the paths of contracts that are switched off. */
  function served(paths: OpenApi['paths']): OpenApi['paths'] {
    const isServed = (path: string, operations: object) => {
      const url = path.replaceAll(/\{(\w+)\}/g, ':$1')
      return Object.keys(operations).every((method) =>
        app.hasRoute({ method: method.toUpperCase() as HTTPMethods, url }),
      )
    }
    return Object.fromEntries(Object.entries(paths).filter(([path, operations]) => isServed(path, operations)))
  }
}
