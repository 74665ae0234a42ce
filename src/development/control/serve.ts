import type { FastifyInstance, FastifyRequest } from 'fastify'
import { decodeUtf8 } from '../../config/utf8.ts'
import { isShallow, MAX_JSON_DEPTH } from '../json-depth.ts'
import type { IssuedTokens, Part } from '../part.ts'
import { CONTROL_PATH } from '../paths.ts'
import { ControlError, replyWithControlError } from './errors.ts'

export interface ControlOptions {
  readonly parts: readonly Part[]
  readonly tokens: IssuedTokens
  /** @throws ControlError for a request that may not use the control API. */
  readonly checkAccess: (request: FastifyRequest) => void
}

/** Serves the parts of the control API below `/_trimint` (L2, L3). */
export async function serveControl(
  app: FastifyInstance,
  { parts, tokens, checkAccess }: ControlOptions,
): Promise<void> {
  await app.register(
    async (scope) => {
      scope.setErrorHandler(replyWithControlError)
      scope.addHook('onRequest', async (request, reply) => {
        reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
        checkAccess(request)
      })
      // JSON alone: a form of a web page cannot send it without a preflight.
      scope.removeAllContentTypeParsers()
      scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
        readJson(body),
      )
      for (const part of parts) part.routes?.(scope, tokens)
    },
    { prefix: CONTROL_PATH },
  )
}

function readJson(body: Buffer): unknown {
  if (body.length === 0) return undefined
  const content = decodeUtf8(body)
  try {
    const json: unknown = 'text' in content ? JSON.parse(content.text) : undefined
    if (json !== undefined && isShallow(json)) return json
  } catch {
    // Answered below.
  }
  throw new ControlError(
    400,
    'invalid_request',
    `the body is not JSON; expected JSON text in UTF-8, at most ${MAX_JSON_DEPTH} levels deep`,
  )
}
