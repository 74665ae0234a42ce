import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, HTTPMethods } from 'fastify'
import { createDocument, type Document, sendDocument } from './document.ts'

/** Named in `imports` of package.json: the built package has its code in other folders than the sources. */
const fileOf = (name: string): string => fileURLToPath(import.meta.resolve(name))

/**
 * Returns a file of Swagger UI, from its Fastify plugin. The package swagger-ui-dist reports each installation to its
 * vendor.
 */
const swaggerUi = (name: string): string =>
  fileURLToPath(new URL(`static/${name}`, import.meta.resolve('@fastify/swagger-ui/package.json')))

const SCRIPT = 'application/javascript; charset=utf-8'

const FILES = {
  '/docs': [() => fileOf('#docs/page.html'), 'text/html; charset=utf-8'],
  '/docs/page.js': [() => fileOf('#docs/page.js'), SCRIPT],
  '/docs/swagger-ui-bundle.js': [() => swaggerUi('swagger-ui-bundle.js'), SCRIPT],
  '/docs/swagger-ui.css': [() => swaggerUi('swagger-ui.css'), 'text/css; charset=utf-8'],
  '/docs/favicon-32x32.png': [() => swaggerUi('favicon-32x32.png'), 'image/png'],
} as const

const NOT_INSTALLED =
  'The API reference needs a package that is not installed; run npm install @fastify/swagger-ui. The OpenAPI document is at docs/openapi.json.\n'

function isSwaggerUiInstalled(): boolean {
  try {
    swaggerUi('swagger-ui.css')
    return true
  } catch {
    return false
  }
}

/** Files change with the release only, so that all instances of a process share them. */
const loadFile = loadOnce(async (url: keyof typeof FILES) => {
  const [file, type] = FILES[url]
  return createDocument(await readFile(file()), type, 'public, max-age=0')
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

  if (!isSwaggerUiInstalled()) {
    app.get('/docs', async (_request, reply) => reply.code(404).type('text/plain; charset=utf-8').send(NOT_INSTALLED))
  } else
    for (const url of Object.keys(FILES) as (keyof typeof FILES)[]) {
      app.get(url, async (request, reply) => sendDocument(await loadFile(url), request, reply))
    }

  // The page's links are relative, so that it works behind a proxy that adds a path prefix.
  app.get('/docs/', async (_request, reply) => reply.redirect('../docs'))

  const loadOpenApi = loadOnce(async (_url: '/docs/openapi.json') => {
    const document = JSON.parse(await readFile(fileOf('#openapi.json'), 'utf8')) as OpenApi
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
