import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { issueBwsToken } from '../../core/bws/issue.ts'
import { registerBasicAuth } from '../../http/basic-auth.ts'
import { createErrorHandler } from '../../http/error-handler.ts'
import { parseParameters } from '../../http/form-parameters.ts'
import { refuseOtherMethods } from '../../http/other-methods.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { tokenRefusals } from './errors.ts'
import { explainIssue } from './explanations.ts'
import type { BwsOptions } from './options.ts'
import { bwsTokenQueryParser, readBwsTokenQuery } from './schema.ts'

/** The vendor uses both (B1). */
export const BWS_PATHS = ['/token', '/extension/token'] as const

/** Issues tokens, in the order of B36: method, credentials, parameters, what the app may do. */
export const tokenRoutes: FastifyPluginAsync<BwsOptions> = async (app, { apps, issuer, guard, audit }) => {
  app.setErrorHandler(createErrorHandler(tokenRefusals, audit))
  const basicAuth = await registerBasicAuth(app, { kind: 'app', holders: apps, guard, clock: issuer.clock, audit })

  for (const url of BWS_PATHS) {
    app.route({ method: 'GET', url, exposeHeadRoute: true, handler: issue })
    refuseOtherMethods(app, url, ['GET', 'HEAD'])
  }

  async function issue(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const { id, holder, secretSlot } = await basicAuth.authenticate(request, reply)
    const query = parseParameters(bwsTokenQueryParser, readBwsTokenQuery(queryOf(request)), { app: id })
    const result = issueBwsToken(holder, query, issuer)
    if ('refused' in result) {
      const { refused } = result
      throw new Refusal(refused, { app: id, explain: () => explainIssue(refused, holder, query) })
    }
    const { token, tokenId } = result
    audit.issued({ contract: 'bws', app: id, secretSlot, tokenId, ...requestFields(request) })
    reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store')
    return token
  }
}

function queryOf({ raw: { url = '' } }: FastifyRequest): string {
  const start = url.indexOf('?')
  return start === -1 ? '' : url.slice(start + 1)
}
