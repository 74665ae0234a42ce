import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { z } from 'zod'
import { check, formatPath } from '../../config/config-issue.ts'
import { ControlError } from './errors.ts'

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** Serves some methods of a path below `/_trimint`; every other one is 405 with `Allow` (L2). */
export function serveMethods(
  app: FastifyInstance,
  url: string,
  handlers: Readonly<Partial<Record<'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', Handler>>>,
  options: Pick<RouteOptions, 'config' | 'prefixTrailingSlash'> = {},
): void {
  const methods = Object.keys(handlers)
  const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  for (const [method, handler] of Object.entries(handlers)) app.route({ ...options, method, url, handler })
  async function refuse(): Promise<never> {
    const description = `wrong method; expected ${allow.join(', ')}`
    throw new ControlError(405, 'method_not_allowed', description, { allow: allow.join(', ') })
  }
  const others = app.supportedMethods.filter((method) => !allow.includes(method))
  app.route({ ...options, method: others, url, exposeHeadRoute: false, onRequest: refuse, handler: refuse })
}

/** Returns the query: the app reads none, because only BWS has one (B4). */
export function queryOf({ originalUrl }: FastifyRequest): Record<string, string> {
  const [, query = ''] = originalUrl.split('?', 2)
  return Object.fromEntries(new URLSearchParams(query))
}

/** Returns what a schema makes of an input. @throws ControlError that names every fault and what is allowed. */
export function parseInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const checked = check(schema, input)
  if ('data' in checked) return checked.data
  const faults = checked.issues.map(({ path, message }) => [formatPath(path), message].filter(Boolean).join(': '))
  throw new ControlError(400, 'invalid_request', faults.join('; '))
}
