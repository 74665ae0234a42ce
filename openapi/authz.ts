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

const EVERY_METHOD =
  'Every method is answered alike, and a body is never read. Header values are percent-encoded UTF-8.'
const UNAVAILABLE = { unavailable: 'Temporarily unavailable. Try again later.' }
const FAILED = { failed: 'An error has occurred.' }

export const authzPaths: ZodOpenApiPathsObject = {
  '/authz/bws/{operation}': {
    get: {
      tags: ['BWS'],
      operationId: 'checkBwsToken',
      summary: 'Check a BWS token for a gateway',
      description: `For nginx \`auth_request\`, Traefik \`forwardAuth\` and Envoy \`ext_authz\`. Every token is valid for \`upload\`. Every other operation accepts only tokens for its own task, and consumes one try. The token is sent as \`Authorization: Bearer\` or \`Authorization: JWT\`. ${EVERY_METHOD}`,
      security: [{ token: [] }],
      requestParams: { path: operationParams },
      responses: {
        200: {
          description: 'The token is valid for this operation.',
          headers: {
            ...requestId,
            ...noStore,
            ...identity({
              'Token-Id': 'Claim `tokenid`.',
              Subject: 'The App-ID.',
              Client: 'The client’s name.',
              Bcid: 'Absent for a token without a bcid.',
              Task: 'The token’s own task.',
              'Tries-Left': 'Tries left after this one. Absent where no try is counted.',
            }),
          },
        },
        401: denial(
          bwsError,
          'No token, or a token that is altered, expired, not yet valid, revoked, of another contract, or of an app that is no longer configured.',
          { unauthorized: 'Unauthorized' },
          { 'WWW-Authenticate': { schema: { const: 'Bearer realm="BWS"' } } },
        ),
        403: denial(bwsError, 'The token is valid, but not for this operation.', {
          task: 'The token is for another task.',
          tries: 'The tries of the token are used up.',
        }),
        500: denial(bwsError, 'An internal error. The log has the cause.', FAILED),
        503: denial(bwsError, 'The store is unavailable, or the process is overloaded.', UNAVAILABLE, retryAfter),
      },
    },
  },
  '/authz/idscan/{area}': {
    get: {
      tags: ['IDscan'],
      operationId: 'checkIdscanToken',
      summary: 'Check an IDscan token for a gateway',
      description: `For nginx \`auth_request\`, Traefik \`forwardAuth\` and Envoy \`ext_authz\`. The token is sent in \`Authorization\`, with or without \`Bearer\`, or in the cookie \`token\` or a cookie without a name. ${EVERY_METHOD}`,
      security: [{ token: [] }, { cookie: [] }],
      requestParams: { path: areaParams },
      responses: {
        200: {
          description: 'The token is valid for this area.',
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
          'No token, or a token that is altered, expired, revoked, idle for too long, of another contract, or of an account that is disabled or no longer configured.',
          { denied: 'Authorization has been denied for this request.' },
          { 'WWW-Authenticate': { schema: { const: 'Bearer' } } },
        ),
        403: denial(idscanAccessError, 'The token is valid, but not for this area.', {
          area: 'The token is for another area.',
        }),
        500: denial(idscanAccessError, 'An internal error. The log has the cause.', FAILED),
        503: denial(
          idscanAccessError,
          'The store is unavailable, or the process is overloaded.',
          UNAVAILABLE,
          retryAfter,
        ),
      },
    },
  },
}
