import { z } from 'zod'
import { createDocument, type ZodOpenApiObject, type ZodOpenApiOperationObject } from 'zod-openapi'
import packageJson from '../package.json' with { type: 'json' }
import { authenticatorAction } from '../src/development/authenticator/control.ts'
import { uafKey } from '../src/development/authenticator/key.ts'
import { clockChange, clockReading } from '../src/development/clock/part.ts'
import { decodeInput } from '../src/development/console/part.ts'
import { CONTRACTS, faultInput } from '../src/development/faults/schema.ts'
import { journalRecord, requestFilter } from '../src/development/journal/schema.ts'
import { outcomesInput } from '../src/development/stand-ins/outcomes/schema.ts'
import { guardCount } from '../src/development/state/guard.ts'
import { sessionView } from '../src/development/state/sessions.ts'
import { serviceError } from '../src/endpoints/errors.ts'

const request = journalRecord.meta({ id: 'Request' })
const anything = z.record(z.string(), z.unknown())
const faultView = z.object({
  id: z.string(),
  match: z.record(z.string(), z.string()),
  times: z.int().optional(),
  met: z.int().meta({ description: 'How many requests it has met.' }),
  then: anything,
})
const changed = z.object({
  changed: z.array(z.string()),
  restart: z.array(z.string()).meta({ description: 'Settings that take effect at the next start only.' }),
})
const decoded = z.looseObject({
  contract: z.enum(['bws', 'idscan', 'nevisfido']),
  tokenId: z.string(),
  accepted: z.boolean(),
  reason: z.string().optional(),
  explanation: z.string().optional(),
})
const outcome = z.object({
  step: z.enum(['redeem', 'respond']),
  statusCode: z.int().meta({ description: 'The FIDO UAF status code; 1200 is success.' }),
  authenticators: z.array(z.object({ aaid: z.string(), keyId: z.string() })),
})
const reason = z.object({ meaning: z.string(), action: z.string(), contracts: z.array(z.enum(CONTRACTS)) })
const outcomes = z.object({ bws: anything, idscan: anything, matched: z.array(anything) })
const byId = { path: z.object({ id: z.string() }) }

interface Described {
  readonly body?: z.ZodType
  readonly reply?: z.ZodType
  /** 204 without a reply, 200 with one. */
  readonly status?: number
  readonly type?: string
  readonly parameters?: ZodOpenApiOperationObject['requestParams']
  readonly usesStore?: boolean
}

function operation(operationId: string, summary: string, described: Described = {}): ZodOpenApiOperationObject {
  const { body, reply, status = reply ? 200 : 204, type = 'application/json', parameters, usesStore } = described
  const error = (description: string) => ({ description, content: { 'application/json': { schema: serviceError } } })
  return {
    operationId,
    summary,
    ...(parameters ? { requestParams: parameters } : {}),
    ...(body ? { requestBody: describeBody(body) } : {}),
    responses: {
      [status]: { description: summary, ...(reply ? { content: { [type]: { schema: reply } } } : {}) },
      '4XX': error('A refusal, which says what is allowed.'),
      ...(usesStore ? { 503: error('The store is unavailable.') } : {}),
    },
  }
}

function describeBody(schema: z.ZodType) {
  return { required: !schema.safeParse(undefined).success, content: { 'application/json': { schema } } }
}

const STANDARD_TYPES: readonly unknown[] = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']

/** Replaces the type that docs/configuration.md shows (value-schemas.ts). */
function useStandardType(schema: { type?: unknown; description?: string; minimum?: number }): void {
  const { type } = schema
  if (type === undefined || STANDARD_TYPES.includes(type)) return
  schema.type = schema.minimum === undefined ? 'string' : 'integer'
  schema.description ??= `Expected: ${String(type)}.`
}

/** Returns the OpenAPI 3.1 document of the control API, as JSON text (docs/contracts/development.md). */
export function createControlOpenApi(): string {
  const description: ZodOpenApiObject = {
    openapi: '3.1.0',
    info: {
      title: 'Trimint control API',
      version: packageJson.version,
      description: 'Clock, faults, journal, configuration and state of a Trimint for local development.',
    },
    // Relative to the document: this server, by whatever name and path the reader reached it.
    servers: [{ url: '.', description: 'this server' }],
    security: [{}, { control: [] }],
    paths: {
      '/clock': {
        get: operation('readClock', 'The time of Trimint', { reply: clockReading }),
        patch: operation('changeClock', 'Sets the clock', { body: clockChange, reply: clockReading }),
        delete: operation('resetClock', 'Returns to the system time', { reply: clockReading }),
      },
      '/faults': {
        get: operation('listFaults', 'The faults, newest first', { reply: z.object({ faults: z.array(faultView) }) }),
        post: operation('addFault', 'Adds a fault', { body: faultInput, reply: faultView, status: 201 }),
        delete: operation('clearFaults', 'Deletes every fault'),
      },
      '/faults/{id}': { delete: operation('removeFault', 'Deletes a fault', { parameters: byId }) },
      '/requests': {
        get: operation('listRequests', 'Requests in the journal, newest first', {
          parameters: { query: requestFilter },
          reply: z.object({ requests: z.array(request) }),
        }),
        delete: operation('clearRequests', 'Empties the journal'),
      },
      '/requests/stream': {
        get: operation('streamRequests', 'Further requests as server-sent events', {
          parameters: { query: requestFilter },
          reply: z.string(),
          type: 'text/event-stream',
        }),
      },
      '/requests/{id}': {
        get: operation('findRequest', 'A request by its X-Request-Id', { parameters: byId, reply: request }),
      },
      '/configuration': {
        get: operation('readConfiguration', 'The configuration in force, without secrets', { reply: anything }),
        patch: operation('patchConfiguration', 'Patches the configuration in memory', {
          body: anything,
          reply: changed,
        }),
      },
      '/sessions': {
        get: operation('listSessions', 'nevisFIDO sessions since the start', {
          reply: z.object({ sessions: z.array(sessionView) }),
          usesStore: true,
        }),
      },
      '/guard': {
        get: operation('listGuard', 'Counts of failed attempts', {
          reply: z.object({ counts: z.array(guardCount) }),
          usesStore: true,
        }),
      },
      '/guard/{key}': {
        delete: operation('liftBlock', 'Deletes a count', {
          parameters: { path: z.object({ key: z.string() }) },
          usesStore: true,
        }),
      },
      '/authenticator': {
        get: operation('listKeys', 'Keys of the software authenticator', {
          reply: z.object({ keys: z.array(uafKey.omit({ privateKey: true })) }),
        }),
        post: operation('useAuthenticator', 'Redeems a token and answers', {
          body: authenticatorAction,
          reply: outcome,
        }),
        delete: operation('forgetKeys', 'Forgets all keys'),
      },
      '/outcomes': {
        get: operation('listOutcomes', 'What the stand-ins answer', { reply: outcomes }),
        put: operation('setOutcomes', 'Chooses what the stand-ins answer', { body: outcomesInput, reply: outcomes }),
        delete: operation('clearOutcomes', 'Forgets the chosen outcomes'),
      },
      '/decode': {
        post: operation('decodeToken', 'Decodes a token', { body: decodeInput, reply: decoded, usesStore: true }),
      },
      '/reasons': {
        get: operation('listReasons', 'What each reason means', {
          reply: z.object({ reasons: z.record(z.string(), reason) }),
        }),
      },
      '/reset': {
        post: operation('reset', 'Restores the state of the start', {
          body: z.object({ only: z.array(z.string()).optional() }).optional(),
          usesStore: true,
        }),
      },
    },
    components: {
      securitySchemes: {
        control: { type: 'http', scheme: 'bearer', description: '`control.token`, where it is configured.' },
      },
    },
  }
  const document = createDocument(description, { override: ({ jsonSchema }) => useStandardType(jsonSchema) })
  return `${JSON.stringify(document, undefined, 2)}\n`
}
