import type { FidoOperation } from '../../core/fido/operation.ts'
import { AuthenticatorError } from './authenticator-error.ts'
import { readJson, type UafRequestReply, uafRequestReply, uafResponseReply } from './uaf-message.ts'

const UAF = 'application/fido+uaf'
const TIMEOUT_MS = 10_000

/** The services that a FIDO client uses, at the base URL of a server. */
export interface ServiceClient {
  /** Redeems a token. `uafRequest` is absent where the server refuses. */
  redeem(operation: FidoOperation, token: string): Promise<UafRequestReply>
  /** Sends a body to the response service of an operation. @returns the status code. */
  respond(operation: FidoOperation, body: unknown): Promise<number>
}

/** Creates a client of a server's services. Its methods throw AuthenticatorError unless the server replies as documented. */
export function createServiceClient(base: string | (() => string)): ServiceClient {
  async function post(path: string, contentType: string, body: unknown): Promise<string> {
    const url = typeof base === 'string' ? base : base()
    const response = await fetch(new URL(path, url), {
      method: 'POST',
      headers: { 'content-type': contentType, accept: UAF },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: Error) => {
      throw new AuthenticatorError(`cannot reach ${url}: ${describe(error)}`)
    })
    const text = await response.text()
    if (response.status !== 200) {
      throw new AuthenticatorError(`POST ${path}: HTTP ${response.status}; expected 200 from a server with nevisFIDO`)
    }
    return text
  }

  return {
    async redeem(operation, token) {
      const reply = await post(`/nevisfido/token/redeem/${operation}`, 'application/json', { token })
      return readJson(uafRequestReply, reply, 'reply')
    },
    async respond(operation, body) {
      const reply = await post(`/nevisfido/uaf/1.1/${operation}`, `${UAF};charset=UTF-8`, body)
      return readJson(uafResponseReply, reply, 'reply').statusCode
    },
  }
}

/** Returns the cause of a failed fetch, whose own message says only that it failed. */
function describe(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}
