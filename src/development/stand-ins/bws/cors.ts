import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

const PREFLIGHT_MAX_AGE_SECONDS = '600'

/** Lets pages of every origin read the replies of an app, errors too, as the vendor's capture script does (S9). */
export function allowAnyOrigin(app: FastifyInstance): void {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('access-control-allow-origin', '*')
  })
}

/** Answers the preflight of a path, in a hook, before anything else is asked for. */
export function servePreflight(app: FastifyInstance, url: string, method: 'GET' | 'POST'): void {
  function answer(request: FastifyRequest, reply: FastifyReply): void {
    const asked = request.headers['access-control-request-headers']
    reply.header('access-control-allow-methods', method).header('access-control-max-age', PREFLIGHT_MAX_AGE_SECONDS)
    if (asked !== undefined) reply.header('access-control-allow-headers', asked)
    reply.code(204).send()
  }
  app.route({ method: 'OPTIONS', url, onRequest: answer, handler: (_request, reply) => reply })
}
