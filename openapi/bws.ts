import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject, ZodOpenApiResponseObject } from 'zod-openapi'
import { bwsError, bwsTokenQuery } from '../src/contracts/bws/schema.ts'
import { BWS_PATHS } from '../src/contracts/bws/token.ts'
import { noStore, requestId, retryAfter } from './headers.ts'

// As long as a real one, and signed by nobody.
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
    'As BioID’s BWS Token Web API: a signed token for one task with one biometric class. Parameter names are taken in any case; unknown ones are ignored; a known one twice is 400. HEAD answers as GET does, without the body; every other method is 405.',
  security: [{ app: [] }],
  requestParams: { query: bwsTokenQuery },
  responses: {
    200: {
      description: 'The bare compact JWS (HS256): no quotes, no line break.',
      headers: { ...requestId, ...noStore },
      content: { 'text/plain; charset=utf-8': { schema: { type: 'string' }, example: EXAMPLE_TOKEN } },
    },
    400: refusal('A parameter is missing, not valid, or given twice. The message names each and what is allowed.', {
      invalid: 'maxtries must be an integer from 1 to 15.',
      repeated: 'id must be given only once.',
    }),
    401: refusal(
      'Unknown app, wrong secret or malformed header: the same bytes for all.',
      { unauthorized: 'Unauthorized' },
      { 'WWW-Authenticate': { description: 'RFC 7617.', schema: { const: 'Basic realm="BWS", charset="UTF-8"' } } },
    ),
    403: refusal('The app may not do this.', {
      id: 'The id is not the App-ID of the caller.',
      task: 'The app may not use this task.',
      bcid: 'The app may not use this storage and partition.',
    }),
    405: refusal(
      'A method other than GET and HEAD; judged before credentials.',
      { method: 'The requested resource supports GET and HEAD only.' },
      { Allow: { schema: { const: 'GET, HEAD' } } },
    ),
    429: refusal(
      'Too many wrong secrets from this address; a right one is refused too.',
      { blocked: 'Too many failed attempts. Try again later.' },
      retryAfter,
    ),
    500: refusal('Something failed inside. The log says what.', { failed: 'An error has occurred.' }),
    503: refusal('This process is too busy.', { overloaded: 'Temporarily unavailable. Try again later.' }, retryAfter),
  },
}

export const bwsPaths: ZodOpenApiPathsObject = Object.fromEntries(
  BWS_PATHS.map((path) => {
    const operationId = `issueBwsToken${path === '/token' ? '' : 'Extension'}`
    return [path, { get: { ...issueToken, operationId } }]
  }),
)
