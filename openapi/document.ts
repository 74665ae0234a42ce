import { createDocument } from 'zod-openapi'
import packageJson from '../package.json' with { type: 'json' }
import { authzPaths } from './authz.ts'
import { bwsPaths } from './bws.ts'
import { idscanPaths } from './idscan.ts'
import { lifecyclePaths } from './lifecycle.ts'
import { nevisfidoPaths } from './nevisfido.ts'
import { servicePaths } from './service.ts'

/** The OpenAPI 3.1 document of everything that the service answers, as JSON text. */
export function createOpenApi(): string {
  const document = createDocument({
    openapi: '3.1.0',
    info: { title: 'Trimint', version: packageJson.version, description: packageJson.description },
    servers: [{ url: 'http://127.0.0.1:8080', description: 'npm start' }],
    tags: [
      { name: 'BWS', description: 'Signed tokens, as BioID’s BWS issues them.' },
      { name: 'IDscan', description: 'Logins, as GBG’s IDscan Enterprise has them.' },
      { name: 'nevisFIDO', description: 'Opaque tokens with a session, as nevisFIDO has them.' },
      { name: 'Service', description: 'What is ours: the life of a token after its issue, and operations.' },
    ],
    paths: { ...bwsPaths, ...idscanPaths, ...nevisfidoPaths, ...authzPaths, ...lifecyclePaths, ...servicePaths },
    components: {
      securitySchemes: {
        app: basic('of an app of BWS', 'demo-app'),
        client: basic('of a client of nevisFIDO', 'demo-backend'),
        resourceServer: basic('of a resource server', 'demo-api'),
        token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A token that was issued here.' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'token',
          description: 'The same, as IDscan’s browser pages send it.',
        },
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'Of the configured issuer.' },
      },
    },
  })
  return `${JSON.stringify(document, undefined, 2)}\n`
}

/** A scheme for each kind of caller, so that a page can hold the credentials of all three at once. */
function basic(whose: string, demo: string) {
  const description = `Id and secret ${whose} (RFC 7617); in the built-in demo \`${demo}\` and \`demo-secret\`.`
  return { type: 'http', scheme: 'basic', description } as const
}
