import { createDocument } from 'zod-openapi'
import packageJson from '../package.json' with { type: 'json' }
import { authzPaths } from './authz.ts'
import { bwsPaths } from './bws.ts'
import { idscanPaths } from './idscan.ts'
import { lifecyclePaths } from './lifecycle.ts'
import { nevisfidoPaths } from './nevisfido.ts'
import { servicePaths } from './service.ts'
import { uafPaths } from './uaf.ts'

/** Returns the OpenAPI 3.1 document of every route, as JSON text. */
export function createOpenApi(): string {
  const document = createDocument({
    openapi: '3.1.0',
    info: { title: 'Trimint', version: packageJson.version, description: packageJson.description },
    servers: [{ url: 'http://127.0.0.1:8080', description: 'npm start' }],
    tags: [
      { name: 'BWS', description: 'Signed tokens for BioID’s BWS.' },
      { name: 'IDscan', description: 'Logins for GBG’s IDscan Enterprise.' },
      { name: 'nevisFIDO', description: 'Opaque tokens with a session, for nevisFIDO.' },
      { name: 'Service', description: 'Trimint’s own endpoints: introspection, revocation and operations.' },
    ],
    paths: {
      ...bwsPaths,
      ...idscanPaths,
      ...nevisfidoPaths,
      ...uafPaths,
      ...authzPaths,
      ...lifecyclePaths,
      ...servicePaths,
    },
    components: {
      securitySchemes: {
        app: basic('of a BWS app', 'demo-app'),
        client: basic('of a nevisFIDO client', 'demo-backend'),
        resourceServer: basic('of a resource server', 'demo-api'),
        token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A token that Trimint issued.' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'token',
          description: 'The same token, as IDscan’s browser pages send it.',
        },
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A JWT of the configured issuer.' },
      },
    },
  })
  return `${JSON.stringify(document, undefined, 2)}\n`
}

/**
 * Returns a security scheme. Each kind of caller has one, so that the reference page can hold the credentials of all
 * three.
 */
function basic(whose: string, demo: string) {
  const description = `Id and secret ${whose} (RFC 7617). In the built-in demo: \`${demo}\` and \`demo-secret\`.`
  return { type: 'http', scheme: 'basic', description } as const
}
