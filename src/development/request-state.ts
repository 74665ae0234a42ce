import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Fault } from './faults/list.ts'
import type { Decided } from './journal/entry.ts'

/** What development knows of a request in progress. */
export interface RequestState {
  fault?: Fault
  /** A body that was read to match a fault, for the parser of the route. */
  replay?: { readonly chunks: readonly Buffer[]; readonly rest: AsyncIterator<Buffer> | undefined }
  decided?: Decided
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Absent outside development. */
    development?: RequestState | null
  }
}

/** Prepares requests for {@link stateOf}. */
export function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest('development', null)
}

/** Returns the state of a request; creates it at the first call. */
export function stateOf(request: FastifyRequest): RequestState {
  request.development ??= {}
  return request.development
}
