import { z } from 'zod'
import type {
  ZodOpenApiHeadersObject,
  ZodOpenApiOperationObject,
  ZodOpenApiPathsObject,
  ZodOpenApiResponseObject,
} from 'zod-openapi'
import { serviceError } from '../src/endpoints/errors.ts'
import { activeToken, inactiveToken } from '../src/endpoints/introspection-reply.ts'
import { tokenForm } from '../src/endpoints/token-requests.ts'
import { noStore, requestId, retryAfter } from './headers.ts'

const headers = { ...requestId, ...noStore }

function refusal(
  description: string,
  error: string,
  error_description: string,
  more: ZodOpenApiHeadersObject = {},
): ZodOpenApiResponseObject {
  return {
    description,
    headers: { ...headers, ...more },
    content: { 'application/json': { schema: serviceError, example: { error, error_description } } },
  }
}

const refusals = {
  400: refusal(
    'The body is not a form, has no token, or repeats a parameter.',
    'invalid_request',
    'The body must be a form with one token, each parameter once.',
  ),
  401: refusal(
    'Unknown resource server or wrong secret, always with the same bytes.',
    'invalid_client',
    'The id or the secret of the resource server is wrong.',
    { 'WWW-Authenticate': { schema: { const: 'Basic realm="Trimint", charset="UTF-8"' } } },
  ),
  405: refusal('A method other than POST.', 'invalid_request', 'Only POST is supported.', {
    Allow: { schema: { const: 'POST' } },
  }),
  413: refusal('A body of more than 64 KiB.', 'invalid_request', 'The request is too large.'),
  429: refusal(
    'Too many wrong secrets from this address. A right secret is refused as well.',
    'temporarily_unavailable',
    'Too many failed attempts. Try again later.',
    retryAfter,
  ),
  500: refusal(
    'An internal error. The log has the cause.',
    'server_error',
    'An internal error. The log has the cause.',
  ),
  503: refusal(
    'The store is unavailable, or the process is overloaded.',
    'temporarily_unavailable',
    'The store is unavailable. Try again later.',
    retryAfter,
  ),
}

const request: Pick<ZodOpenApiOperationObject, 'tags' | 'security' | 'requestBody'> = {
  tags: ['Service'],
  security: [{ resourceServer: [] }, {}],
  requestBody: {
    required: true,
    content: {
      'application/x-www-form-urlencoded': {
        schema: tokenForm,
        example: { token: '4f1f6a7c-2f64-4b8a-9d0e-3f0f4f6d8a11' },
      },
    },
  },
}

const ACTIVE = {
  active: true,
  token_type: 'bearer',
  iss: 'BWS',
  sub: 'demo-app',
  aud: 'https://tokens.example.com',
  client_id: 'demo-app',
  nbf: 1767323045,
  exp: 1767323645,
  jti: '00000000-0000-4000-8000-000000000000',
  trimint: {
    contract: 'bws',
    task: 'verify',
    client: 'Demo',
    triesAllowed: 3,
    triesLeft: 2,
    liveDetection: true,
    autoEnroll: false,
    traits: ['Face', 'Periocular'],
    bcid: 'bws/112/12345',
  },
}

export const lifecyclePaths: ZodOpenApiPathsObject = {
  '/introspect': {
    post: {
      ...request,
      operationId: 'introspect',
      summary: 'Introspect a token of any contract (RFC 7662)',
      description:
        'For resource servers that authenticate by HTTP Basic, or with client_id and client_secret in the form. Introspection consumes no try and no redemption, and does not restart the idle time.',
      responses: {
        200: {
          description:
            'A description of the token, or only `active: false` for a token that is not valid, whatever the reason.',
          headers,
          content: {
            'application/json': {
              schema: z.union([activeToken, inactiveToken]),
              examples: { active: { value: ACTIVE }, inactive: { value: { active: false } } },
            },
          },
        },
        ...refusals,
      },
    },
  },
  '/revoke': {
    post: {
      ...request,
      operationId: 'revoke',
      summary: 'Revoke a token of any contract (RFC 7009)',
      description:
        'For resource servers, as introspection. A revocation takes effect at once in this process, and within a second in every other.',
      responses: { 200: { description: 'The token is revoked, or was not valid.', headers }, ...refusals },
    },
  },
}
