import type { ZodOpenApiHeadersObject, ZodOpenApiPathsObject, ZodOpenApiResponseObject } from 'zod-openapi'
import { IDSCAN_PATH } from '../src/contracts/idscan/path.ts'
import { idscanError, idscanTokenForm, idscanTokenReply } from '../src/contracts/idscan/schema.ts'
import { requestId, retryAfter } from './headers.ts'

const headers: ZodOpenApiHeadersObject = {
  ...requestId,
  'Cache-Control': { schema: { const: 'no-cache, no-store' } },
  Pragma: { schema: { const: 'no-cache' } },
  Expires: { schema: { const: '-1' } },
}

function refusal(
  description: string,
  examples: Readonly<Record<string, readonly [error: string, description: string]>>,
  more: ZodOpenApiHeadersObject = {},
): ZodOpenApiResponseObject {
  const values = Object.entries(examples).map(([name, [error, error_description]]) => [
    name,
    { value: { error, error_description } },
  ])
  return {
    description,
    headers: { ...headers, ...more },
    content: { 'application/json': { schema: idscanError, examples: Object.fromEntries(values) } },
  }
}

const EXAMPLE_REPLY = {
  access_token: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.example-claims.example-signature-that-no-key-has-ever-made',
  token_type: 'bearer',
  expires_in: 35999,
  BranchCode: '',
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name': 'demo',
  FullName: 'Demo Account',
  AbbeyServiceCentre: '',
  JourneyId: '',
  IdleSessionTimeout: '15',
  'http://schemas.microsoft.com/ws/2008/06/identity/claims/role': 'SuperAdministrator',
  memberOf: 'Users',
  tenant: 'Demo',
  '.issued': 'Fri, 15 Nov 2019 12:42:34 GMT',
  '.expires': 'Fri, 15 Nov 2019 22:42:34 GMT',
}

export const idscanPaths: ZodOpenApiPathsObject = {
  [IDSCAN_PATH]: {
    post: {
      tags: ['IDscan'],
      operationId: 'issueIdscanToken',
      summary: 'Log in and get an IDscan token',
      description:
        'GBG’s IDscan Enterprise: an OAuth 2.0 password grant, which RFC 9700 deprecates; supported for compatibility. The path and the keys of the form match in any case. Other form keys, the query and client credentials are ignored. Every method other than POST and OPTIONS is 405.',
      security: [],
      requestBody: {
        required: true,
        content: {
          'application/x-www-form-urlencoded': {
            schema: idscanTokenForm,
            example: { grant_type: 'password', username: 'demo', password: 'demo-password', area: 'scanning' },
          },
        },
      },
      responses: {
        200: {
          description:
            'The login succeeded. The reply sets two cookies: `token`, the access token, and `csrftoken`, which is never checked.',
          headers: {
            ...headers,
            'Set-Cookie': {
              description:
                'Twice: `token=…; Path=/; HttpOnly` and `csrftoken=…; Path=/`, with `Secure` for callers that use https.',
              schema: { type: 'string' },
            },
          },
          content: { 'application/json': { schema: idscanTokenReply, example: EXAMPLE_REPLY } },
        },
        400: refusal('The body is not a form with grant_type=password, a parameter is invalid, or the login failed.', {
          unsupported_grant_type: [
            'unsupported_grant_type',
            'The body has to be a form with grant_type=password, once.',
          ],
          missing: ['invalid_request', 'username must be given and not empty.'],
          area: ['invalid_request', 'area must be one of scanning, investigation.'],
          invalid_grant: ['invalid_grant', 'The user name or password is incorrect.'],
          forbidden_area: ['invalid_grant', 'The account may not use this area.'],
        }),
        405: refusal(
          'A method other than POST and OPTIONS.',
          { method: ['invalid_request', 'Only POST is supported.'] },
          { Allow: { schema: { const: 'POST, OPTIONS' } } },
        ),
        413: refusal('A body of more than 64 KiB.', { large: ['invalid_request', 'The body is too large.'] }),
        429: refusal(
          'Too many failed logins to this account from this address. A right password is refused as well.',
          { blocked: ['temporarily_unavailable', 'Too many failed attempts. Try again later.'] },
          retryAfter,
        ),
        500: refusal('An internal error. The log has the cause.', {
          failed: ['server_error', 'Something went wrong.'],
        }),
        503: refusal(
          'Too many password checks are waiting, or the process is overloaded.',
          { overloaded: ['temporarily_unavailable', 'Too many requests at once. Try again later.'] },
          retryAfter,
        ),
      },
    },
    options: {
      tags: ['IDscan'],
      operationId: 'preflightIdscanToken',
      summary: 'CORS preflight',
      description: 'Sends CORS headers to configured origins only.',
      security: [],
      responses: { 204: { description: 'No content.', headers } },
    },
  },
}
