import type { ZodOpenApiHeadersObject, ZodOpenApiPathsObject, ZodOpenApiResponseObject } from 'zod-openapi'
import { bwsError, operationParams } from '../src/contracts/bws/schema.ts'
import { areaParams, idscanAccessError } from '../src/contracts/idscan/schema.ts'
import { noStore, requestId, retryAfter } from './headers.ts'

function identity(names: Readonly<Record<string, string>>): ZodOpenApiHeadersObject {
  const headers = Object.entries(names).map(([name, description]) => [
    `X-Trimint-${name}`,
    { description, schema: { type: 'string' } },
  ])
  return Object.fromEntries(headers)
}

function denial(
  schema: typeof bwsError | typeof idscanAccessError,
  description: string,
  examples: Readonly<Record<string, string>>,
  more: ZodOpenApiHeadersObject = {},
): ZodOpenApiResponseObject {
  const values = Object.entries(examples).map(([name, Message]) => [name, { value: { Message } }])
  return {
    description,
    headers: { ...requestId, ...noStore, ...more },
    content: { 'application/json': { schema, examples: Object.fromEntries(values) } },
  }
}

const EVERY_METHOD = 'Every method is answered alike; a body is never read. Header values are percent-encoded UTF-8.'
const AWAY = { away: 'Temporarily unavailable. Try again later.' }
const FAILED = { failed: 'An error has occurred.' }

export const authzPaths: ZodOpenApiPathsObject = {
  '/authz/bws/{operation}': {
    get: {
      tags: ['BWS'],
      operationId: 'checkBwsToken',
      summary: 'Check a BWS token for a gateway',
      description: `For nginx \`auth_request\`, Traefik \`forwardAuth\` and Envoy \`ext_authz\`. Any token may \`upload\`; every other operation takes its own task’s token alone, and counts one try. The token is sent as \`Authorization: Bearer\` or \`Authorization: JWT\`. ${EVERY_METHOD}`,
      security: [{ token: [] }],
      requestParams: { path: operationParams },
      responses: {
        200: {
          description: 'The token is good for this operation.',
          headers: {
            ...requestId,
            ...noStore,
            ...identity({
              'Token-Id': 'Claim `tokenid`.',
              Subject: 'The App-ID.',
              Client: 'The client’s name.',
              Bcid: 'Absent where the token has none.',
              Task: 'The token’s own task.',
              'Tries-Left': 'After this one; absent where none is counted.',
            }),
          },
        },
        401: denial(
          bwsError,
          'No token, or one that is altered, expired, not yet valid, revoked, of another contract, or of an app that is no longer there.',
          { unauthorized: 'Unauthorized' },
          { 'WWW-Authenticate': { schema: { const: 'Bearer realm="BWS"' } } },
        ),
        403: denial(bwsError, 'Good, but not for this.', {
          task: 'The token is for another task.',
          tries: 'The tries of the token are used up.',
        }),
        500: denial(bwsError, 'Something failed inside. The log says what.', FAILED),
        503: denial(bwsError, 'The store is away, so nobody can say; or this process is too busy.', AWAY, retryAfter),
      },
    },
  },
  '/authz/idscan/{area}': {
    get: {
      tags: ['IDscan'],
      operationId: 'checkIdscanToken',
      summary: 'Check an IDscan token for a gateway',
      description: `For nginx \`auth_request\`, Traefik \`forwardAuth\` and Envoy \`ext_authz\`. The token is sent as \`Authorization\`, raw or behind \`Bearer\`, or else as the cookie \`token\` or as a cookie without a name. ${EVERY_METHOD}`,
      security: [{ token: [] }, { cookie: [] }],
      requestParams: { path: areaParams },
      responses: {
        200: {
          description: 'The token is good for this area.',
          headers: {
            ...requestId,
            ...noStore,
            ...identity({
              'Token-Id': 'Claim `jti`.',
              Subject: 'The login name.',
              Name: 'The full name.',
              Role: 'The role.',
              Area: 'The area.',
              Tenant: 'The tenant.',
            }),
          },
        },
        401: denial(
          idscanAccessError,
          'No token, or one that is altered, expired, revoked, idle for too long, of another contract, or of an account that is disabled or no longer there.',
          { denied: 'Authorization has been denied for this request.' },
          { 'WWW-Authenticate': { schema: { const: 'Bearer' } } },
        ),
        403: denial(idscanAccessError, 'Good, but not for this area.', { area: 'The token is for another area.' }),
        500: denial(idscanAccessError, 'Something failed inside. The log says what.', FAILED),
        503: denial(
          idscanAccessError,
          'The store is away, so nobody can say; or this process is too busy.',
          AWAY,
          retryAfter,
        ),
      },
    },
  },
}
