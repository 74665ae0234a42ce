import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject, ZodOpenApiResponseObject } from 'zod-openapi'
import { bwsError, bwsTokenQuery } from '../src/contracts/bws/schema.ts'
import { BWS_PATHS } from '../src/contracts/bws/token.ts'
import { noStore, requestId, retryAfter } from './headers.ts'

// As long as a real token, with an invalid signature.
const EXAMPLE_TOKEN =
  'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbmlkIjoiMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAwIiwiY2xudCI6IkRlbW8iLCJhcHAiOiJkZW1vLWFwcCIsImJjaWQiOiJid3MvMTEyLzEyMzQ1IiwidHJhaXRzIjozLCJ0YXNrIjoyNTksImlzcyI6IkJXUyIsImF1ZCI6Imh0dHBzOi8vdG9rZW5zLmV4YW1wbGUuY29tIiwiZXhwIjoxNzY3MzIzNjQ1LCJuYmYiOjE3NjczMjMwNDV9.example-signature-that-no-key-has-ever-made'

function refusal(
  description: string,
  examples: Readonly<Record<string, string>>,
  headers: NonNullable<ZodOpenApiResponseObject['headers']> = {},
): ZodOpenApiResponseObject {
  const values = Object.entries(examples).map(([name, Message]) => [name, { value: { Message } }])
  return {
    description,
    headers: { ...requestId, ...noStore, ...headers },
    content: { 'application/json': { schema: bwsError, examples: Object.fromEntries(values) } },
  }
}

const issueToken: ZodOpenApiOperationObject = {
  tags: ['BWS'],
  summary: 'Issue a BWS token',
  description:
    'BioID’s BWS Token Web API: issues a signed token for one task with one biometric class. Parameter names match in any case. Unknown parameters are ignored, a repeated parameter is 400. HEAD is answered as GET, without the body. Every other method is 405.',
  security: [{ app: [] }],
  requestParams: { query: bwsTokenQuery },
  responses: {
    200: {
      description: 'The bare compact JWS (HS256), without quotes and line break.',
      headers: { ...requestId, ...noStore },
      content: { 'text/plain; charset=utf-8': { schema: { type: 'string' }, example: EXAMPLE_TOKEN } },
    },
    400: refusal('A parameter is missing, invalid or repeated. The message names each and what is allowed.', {
      invalid: 'maxtries must be an integer from 1 to 15.',
      repeated: 'id must be given only once.',
    }),
    401: refusal(
      'Unknown app, wrong secret or malformed header, always with the same bytes.',
      { unauthorized: 'Unauthorized' },
      { 'WWW-Authenticate': { description: 'RFC 7617.', schema: { const: 'Basic realm="BWS", charset="UTF-8"' } } },
    ),
    403: refusal('The app is not permitted to do this.', {
      id: 'The id is not the App-ID of the caller.',
      task: 'The app may not use this task.',
      bcid: 'The app may not use this storage and partition.',
    }),
    405: refusal(
      'A method other than GET and HEAD. Checked before credentials.',
      { method: 'The requested resource supports GET and HEAD only.' },
      { Allow: { schema: { const: 'GET, HEAD' } } },
    ),
    429: refusal(
      'Too many wrong secrets from this address. A right secret is refused as well.',
      { blocked: 'Too many failed attempts. Try again later.' },
      retryAfter,
    ),
    500: refusal('An internal error. The log has the cause.', { failed: 'An error has occurred.' }),
    503: refusal('The process is overloaded.', { overloaded: 'Temporarily unavailable. Try again later.' }, retryAfter),
  },
}

export const bwsPaths: ZodOpenApiPathsObject = Object.fromEntries(
  BWS_PATHS.map((path) => {
    const operationId = `issueBwsToken${path === '/token' ? '' : 'Extension'}`
    return [path, { get: { ...issueToken, operationId } }]
  }),
)
