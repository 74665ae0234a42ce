import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, HTTPMethods } from 'fastify'
import { createDocument, type Document, sendDocument } from './document.ts'

/** Swagger UI's files from its Fastify plugin. The package swagger-ui-dist reports each installation to its vendor. */
const LIBRARY = fileURLToPath(new URL('static/', import.meta.resolve('@fastify/swagger-ui/package.json')))
const DOCUMENT = new URL('../../../openapi/openapi.json', import.meta.url)

const SCRIPT = 'application/javascript; charset=utf-8'

const FILES = {
  '/docs': [join(import.meta.dirname, 'page.html'), 'text/html; charset=utf-8'],
  '/docs/page.js': [join(import.meta.dirname, 'page.js'), SCRIPT],
  '/docs/swagger-ui-bundle.js': [join(LIBRARY, 'swagger-ui-bundle.js'), SCRIPT],
  '/docs/swagger-ui.css': [join(LIBRARY, 'swagger-ui.css'), 'text/css; charset=utf-8'],
  '/docs/favicon-32x32.png': [join(LIBRARY, 'favicon-32x32.png'), 'image/png'],
} as const

/** Files change with the release only, so that all instances of a process share them. */
const loadFile = loadOnce(async (url: keyof typeof FILES) => {
  const [file, type] = FILES[url]
  return createDocument(await readFile(file), type, 'public, max-age=0')
})

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

/** `GET /docs`: the API reference, a page that can send every request to this server. */
export const docsRoutes: FastifyPluginAsync = async (app) => {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('content-security-policy', POLICY)
    reply.header('x-content-type-options', 'nosniff')
    reply.header('referrer-policy', 'no-referrer')
  })

  for (const url of Object.keys(FILES) as (keyof typeof FILES)[]) {
    app.get(url, async (request, reply) => sendDocument(await loadFile(url), request, reply))
  }

  // The page's links are relative, so that it works behind a proxy that adds a path prefix.
  app.get('/docs/', async (_request, reply) => reply.redirect('../docs'))

  const loadOpenApi = loadOnce(async (_url: '/docs/openapi.json') => {
    const document = JSON.parse(await readFile(DOCUMENT, 'utf8')) as OpenApi
    // Relative to the document: this server, by whatever name and path the reader reached it.
    const servers = [{ url: '..', description: 'this server' }]
    const json = JSON.stringify({ ...document, servers, paths: served(document.paths) })
    return createDocument(Buffer.from(json), 'application/json; charset=utf-8', 'no-cache')
  })
  app.get('/docs/openapi.json', async (request, reply) =>
    sendDocument(await loadOpenApi('/docs/openapi.json'), request, reply),
  )

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

/** Loads each document with its first reader, so that a start does not wait for it. A failure is tried again. */
function loadOnce<Url extends string>(load: (url: Url) => Promise<Document>): (url: Url) => Promise<Document> {
  const loading = new Map<Url, Promise<Document>>()
  return (url) => {
    const document = loading.get(url) ?? load(url)
    loading.set(url, document)
    document.catch(() => loading.delete(url))
    return document
  }
}
