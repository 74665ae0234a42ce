import { z } from 'zod'
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi'
import { createTokenBody, failureReply, operationParams, redeemTokenReply } from '../src/contracts/nevisfido/schema.ts'
import { FACETS_TYPE } from '../src/contracts/nevisfido/uaf/facets.ts'
import { facetsReply, responseBody, responseReply } from '../src/contracts/nevisfido/uaf/schema.ts'
import { requestId } from './headers.ts'
import { failures, headers, httpFailures, UAF_REQUEST } from './nevisfido.ts'

const UAF_UTF8 = 'application/fido+uaf;charset=UTF-8'

const UAF_RESPONSE = JSON.stringify([
  {
    header: {
      upv: { major: 1, minor: 1 },
      op: 'Reg',
      appID: 'https://fido.example.com/nevisfido/uaf/1.1/facets',
      serverData: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    },
    fcParams: 'e30',
    assertions: [{ assertionScheme: 'UAFV1TLV', assertion: 'AT4AAA' }],
  },
])

const CODES = {
  1400: 'invalid body or form',
  1401: 'key of another user',
  1403: 'the owner of the key is no longer known, or the user would have too many keys',
  1408: 'too late',
  1480: 'authenticator without metadata',
  1481: 'unknown key',
  1491: 'unknown, answered or revoked session, or another challenge',
  1492: 'outside the policy',
  1494: 'unacceptable or registered key',
  1495: 'unacceptable algorithm',
  1496: 'attestation not verified',
  1498: 'any other fault of the response',
  1500: 'internal error',
}

function describeCodes(codes: readonly (keyof typeof CODES)[]): string {
  return `1200; or ${codes.map((code) => `${code} ${CODES[code]}`).join(', ')}.`
}

function takeResponse(
  operation: 'registration' | 'authentication',
  codes: readonly (keyof typeof CODES)[],
): ZodOpenApiOperationObject {
  return {
    tags: ['nevisFIDO'],
    operationId: `answerFido${operation === 'registration' ? 'Registration' : 'Authentication'}`,
    summary: `Answer a request for ${operation}`,
    description:
      'The FIDO client sends its response, once. A response to another operation, and one to a session that cannot be answered, changes nothing; every other one ends the session as `succeeded` or `failed`.',
    security: [],
    requestBody: {
      required: true,
      content: { [UAF_UTF8]: { schema: responseBody, example: { uafResponse: UAF_RESPONSE } } },
    },
    responses: {
      200: {
        description: describeCodes(codes),
        headers,
        content: {
          [UAF_UTF8]: {
            schema: responseReply,
            examples: failures({
              accepted: 1200,
              ...Object.fromEntries(codes.map((code) => [`refused${code}`, code])),
            }),
          },
        },
      },
      ...httpFailures,
    },
  }
}

/** The services for FIDO UAF clients. */
export const uafPaths: ZodOpenApiPathsObject = {
  '/nevisfido/uaf/1.1/request/{operation}': {
    post: {
      tags: ['nevisFIDO'],
      operationId: 'requestFidoOperation',
      summary: 'Create a UAF request',
      description:
        'Creates a token and redeems it, for callers that hand the UAF request to the FIDO client themselves.',
      security: [{ client: [] }, { bearer: [] }, {}],
      requestParams: { path: operationParams },
      requestBody: {
        required: true,
        content: {
          [UAF_UTF8]: { schema: createTokenBody, example: { op: 'Reg', context: '{ "username" : "jeff" }' } },
        },
      },
      responses: {
        200: {
          description:
            '1200 with the UAF request; or 1400 invalid body, 1401 missing or wrong credentials, 1403 unknown user or a user that the client may not act for, 1498 invalid operation, context, policy or transaction, 1500 internal error.',
          headers,
          content: {
            [UAF_UTF8]: {
              schema: z.union([redeemTokenReply, failureReply]),
              examples: {
                created: { value: { statusCode: 1200, uafRequest: UAF_REQUEST, op: 'Reg', lifetimeMillis: 300000 } },
                ...failures({ body: 1400, credentials: 1401, user: 1403, contents: 1498, unexpected: 1500 }),
              },
            },
          },
        },
        ...httpFailures,
      },
    },
  },
  '/nevisfido/uaf/1.1/registration': {
    post: takeResponse('registration', [1400, 1403, 1408, 1480, 1491, 1492, 1494, 1495, 1496, 1498, 1500]),
  },
  '/nevisfido/uaf/1.1/authentication': {
    post: takeResponse('authentication', [1400, 1401, 1403, 1408, 1480, 1481, 1491, 1492, 1495, 1498, 1500]),
  },
  '/nevisfido/uaf/1.1/facets': {
    get: {
      tags: ['nevisFIDO'],
      operationId: 'fidoFacets',
      summary: 'List the trusted facets',
      description: 'The apps and web origins that may use the AppID (FIDO AppID and Facet Specification).',
      security: [],
      responses: {
        200: {
          description: 'The list.',
          headers,
          content: {
            [FACETS_TYPE]: {
              schema: facetsReply,
              example: { trustedFacets: [{ version: { major: 1, minor: 1 }, ids: ['https://fido.example.com'] }] },
            },
          },
        },
        405: {
          description: 'A method other than GET.',
          headers: { ...requestId, Allow: { schema: { const: 'GET' } } },
        },
      },
    },
  },
}
