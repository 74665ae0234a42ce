import { z } from 'zod'
import type { ZodOpenApiPathsObject, ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi'
import {
  createTokenBody,
  createTokenReply,
  failureReply,
  operationParams,
  redeemTokenBody,
  redeemTokenReply,
  statusBody,
  statusReply,
} from '../src/contracts/nevisfido/schema.ts'
import { noStore, requestId } from './headers.ts'

export const headers = { ...requestId, ...noStore }

/** HTTP's own statuses, without a body. */
export const httpFailures: ZodOpenApiResponsesObject = {
  405: { description: 'A method other than POST.', headers: { ...headers, Allow: { schema: { const: 'POST' } } } },
  406: { description: 'Accept does not name the media type that this service produces.', headers },
  415: { description: 'The Content-Type is not the one that this service consumes.', headers },
}

/** Returns an example for each status code. */
export function failures(codes: Readonly<Record<string, number>>) {
  return Object.fromEntries(Object.entries(codes).map(([name, statusCode]) => [name, { value: { statusCode } }]))
}

const CREATED = {
  token: '4f1f6a7c-2f64-4b8a-9d0e-3f0f4f6d8a11',
  sessionId: '9b2d6c1e-7a35-4c0f-8a51-0d3a5f1c2b77',
  statusCode: 1200,
}

export const UAF_REQUEST = JSON.stringify([
  {
    header: {
      upv: { major: 1, minor: 1 },
      op: 'Reg',
      appID: 'https://fido.example.com/nevisfido/uaf/1.1/facets',
      serverData: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    },
    challenge: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    username: 'jeff',
    policy: { accepted: [[{ authenticationAlgorithms: [1], assertionSchemes: ['UAFV1TLV'] }]] },
  },
])

const unavailable: ZodOpenApiResponseObject = {
  description: 'The store is unavailable.',
  headers,
  content: { 'application/json': { schema: failureReply, example: { statusCode: 1500 } } },
}

export const nevisfidoPaths: ZodOpenApiPathsObject = {
  '/nevisfido/token/create/{operation}': {
    post: {
      tags: ['nevisFIDO'],
      operationId: 'createFidoToken',
      summary: 'Create a token and its session',
      description:
        'nevisFIDO’s Create Token Service. A known operation has four HTTP statuses; every other failure is 200 with a `statusCode`. The configuration says which operations require credentials: registration and deregistration by default.',
      security: [{ client: [] }, { bearer: [] }, {}],
      requestParams: { path: operationParams },
      requestBody: {
        required: true,
        content: {
          'application/fido+uaf;charset=UTF-8': {
            schema: createTokenBody,
            example: { op: 'Reg', context: '{ "username" : "jeff" }' },
          },
        },
      },
      responses: {
        200: {
          description:
            '1200 with token and session; or 1400 invalid body, 1401 missing or wrong credentials, 1403 unknown user or a user that the client may not act for, 1498 invalid operation, context, policy or transaction, 1500 internal error.',
          headers,
          content: {
            'application/json': {
              schema: z.union([createTokenReply, failureReply]),
              examples: {
                created: { value: CREATED },
                ...failures({ body: 1400, credentials: 1401, user: 1403, contents: 1498, unexpected: 1500 }),
              },
            },
          },
        },
        ...httpFailures,
      },
    },
  },
  '/nevisfido/token/redeem/{operation}': {
    post: {
      tags: ['nevisFIDO'],
      operationId: 'redeemFidoToken',
      summary: 'Redeem a token, once',
      description: 'Of any number of requests, one gets the UAF request and all others get 1491.',
      security: [],
      requestParams: { path: operationParams },
      requestBody: {
        required: true,
        content: { 'application/json': { schema: redeemTokenBody, example: { token: CREATED.token } } },
      },
      responses: {
        200: {
          description:
            '1200 with the UAF request; or 1400 invalid body, 1404 unknown token, 1408 token expired, 1491 token redeemed before or revoked, 1498 token of another operation, 1500 internal error.',
          headers,
          content: {
            'application/fido+uaf;charset=UTF-8': {
              schema: redeemTokenReply,
              example: { statusCode: 1200, uafRequest: UAF_REQUEST, op: 'Reg', lifetimeMillis: 300000 },
            },
            'application/json': {
              schema: failureReply,
              examples: failures({
                body: 1400,
                unknown: 1404,
                expired: 1408,
                spent: 1491,
                operation: 1498,
                unexpected: 1500,
              }),
            },
          },
        },
        ...httpFailures,
      },
    },
  },
  '/nevisfido/status': {
    post: {
      tags: ['nevisFIDO'],
      operationId: 'fidoStatus',
      summary: 'Tell the status of a session',
      description:
        'Polling never changes a status. After a redeemed registration or authentication, the response of the FIDO client ends it as `succeeded` or `failed`.',
      security: [],
      requestBody: {
        required: true,
        content: { 'application/json': { schema: statusBody, example: { sessionId: CREATED.sessionId } } },
      },
      responses: {
        200: {
          description: 'The status; `unknown` for an id that was never issued, or whose record has been deleted.',
          headers,
          content: {
            'application/json': {
              schema: statusReply,
              examples: {
                created: { value: { status: 'tokenCreated', timestamp: '2026-01-02T03:04:05.678Z', userId: 'jeff' } },
                redeemed: {
                  value: {
                    status: 'clientRegistering',
                    timestamp: '2026-01-02T03:04:09.000Z',
                    userId: 'jeff',
                    tokenInformation: { tokenResult: 'tokenRedeemed' },
                  },
                },
                succeeded: {
                  value: {
                    status: 'succeeded',
                    timestamp: '2026-01-02T03:04:15.000Z',
                    userId: 'jeff',
                    uafStatusCode: 1200,
                    authenticators: [{ aaid: 'F1D0#0001', keyId: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
                    tokenInformation: { tokenResult: 'tokenRedeemed' },
                  },
                },
                timedOut: {
                  value: {
                    status: 'failed',
                    timestamp: '2026-01-02T03:09:05.678Z',
                    userId: 'jeff',
                    uafStatusCode: 1408,
                    tokenInformation: { tokenResult: 'tokenTimedOut' },
                  },
                },
              },
            },
          },
        },
        400: {
          description: 'The body is invalid.',
          headers,
          content: { 'application/json': { schema: failureReply, example: { statusCode: 1400 } } },
        },
        ...httpFailures,
        503: unavailable,
      },
    },
  },
}
