import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FaultContract } from '../faults/schema.ts'
import { stateOf } from '../request-state.ts'
import type { ReplyToError } from './gates.ts'

/** A request that a stand-in cannot answer, although its token was accepted. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code = 'ERR_TRIMINT_STAND_IN'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

/**
 * Returns an error handler for stand-ins. A {@link Problem} becomes `{"Message":"…"}`, as both vendors write errors, and
 * is the explanation in the journal. Everything else is refused by the contract.
 */
export function createProblemHandler(contract: FaultContract, contentType: string, refuse: ReplyToError): ReplyToError {
  return (error, request, reply) => {
    const problem = toProblem(error)
    if (!problem) return refuse(error, request, reply)
    const state = stateOf(request)
    state.decided = { outcome: 'refused', contract, ...state.decided, explanation: problem.message }
    return reply
      .code(problem.status)
      .headers({ ...problem.headers, 'cache-control': 'no-store', 'content-type': contentType })
      .serializer(JSON.stringify)
      .send({ Message: problem.message })
  }
}

/** Fastify's own errors are about the body: too large, cut off, or of an unreadable Content-Type. */
function toProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error
  const { statusCode } = error as { statusCode?: unknown }
  if (statusCode === 413) return new Problem(413, 'The body is too large; at most 10 MiB are allowed.')
  return statusCode === 400 || statusCode === 415 ? new Problem(400, 'The body cannot be read.') : undefined
}

/** The hook of methods that a path does not have. */
export function refuseMethod(allow: string) {
  return async (_request: FastifyRequest, _reply: FastifyReply): Promise<never> => {
    throw new Problem(405, `The requested resource supports ${allow} only.`, { allow })
  }
}
