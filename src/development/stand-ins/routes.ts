import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type { z } from 'zod'
import { createParameterReader, parseParameters } from '../../http/form-parameters.ts'
import { Refusal } from '../../http/refusal.ts'
import { pathOf } from '../paths.ts'
import { Problem, refuseMethod } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The operation that a fault names, where the path has no parameter for it. */
    operation?: string
  }
}

/** The largest body of both vendors' uploads. */
export const MAX_UPLOAD_BYTES = 10 * 1024 * 1024

/**
 * Serves one method of a path, and refuses all others before the body is read.
 *
 * @param served methods that the path has besides.
 */
export function serveMethod(
  app: FastifyInstance,
  route: RouteOptions & { readonly method: 'GET' | 'POST' },
  served: readonly string[] = [],
): void {
  app.route({ ...route, exposeHeadRoute: false })
  const allowed = [route.method, ...served]
  const refuse = refuseMethod(allowed.join(', '))
  const others = app.supportedMethods.filter((method) => !allowed.includes(method))
  app.route({ method: others, url: route.url, exposeHeadRoute: false, onRequest: refuse, handler: refuse })
}

/** Takes every body as bytes, whatever its Content-Type. */
export function readBodiesAsBytes(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => body)
}

/**
 * Creates a reader of a query whose names match in any case.
 *
 * @returns a function that throws a {@link Problem} which names every invalid parameter.
 */
export function createQueryReader<Schema extends z.ZodObject>(
  schema: Schema,
): (request: FastifyRequest) => z.output<Schema> {
  const read = createParameterReader(Object.keys(schema.shape))
  return ({ originalUrl }) => {
    try {
      return parseParameters(schema, read(originalUrl.slice(pathOf(originalUrl).length + 1)))
    } catch (error) {
      throw error instanceof Refusal ? new Problem(400, error.message) : error
    }
  }
}
