import { type Answerer, APP, APP_SECRET, type Reply, type RequestOptions } from './service.ts'

export const CALLER = { id: APP.id, secret: APP_SECRET }
export const BCID = 'bws.112.12345'

/** The smallest valid query for a BWS token. */
export const QUERY = `id=${APP.id}&bcid=${BCID}`

export function getToken(service: Answerer, query: string, options: RequestOptions = {}): Promise<Reply> {
  return service.request(`/token?${query}`, { as: CALLER, ...options })
}

/** Returns the claims of a token reply without verifying its signature. */
export function claimsOf({ body }: Reply): Record<string, unknown> {
  return JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString())
}

/** Returns the message of an error reply. */
export function messageOf({ body }: Reply): string {
  return (JSON.parse(body) as { Message: string }).Message
}
