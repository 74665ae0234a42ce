import formbody from '@fastify/formbody'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { signingKey } from '../../core/crypto/keyring.ts'
import type { IdscanAccount } from '../../core/idscan/account.ts'
import { issueIdscanToken } from '../../core/idscan/issue.ts'
import type { LoginResult } from '../../core/idscan/login.ts'
import { clientIp } from '../../http/client-ip.ts'
import { createErrorHandler } from '../../http/error-handler.ts'
import { NO_PARAMETERS, parseParameters, type ReadParameters } from '../../http/form-parameters.ts'
import { refuseOtherMethods } from '../../http/other-methods.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { allowOrigin } from './cors.ts'
import { CONTENT_TYPE, tokenRefusals } from './errors.ts'
import { explainArea, explainLogin } from './explanations.ts'
import type { IdscanOptions } from './options.ts'
import { IDSCAN_PATH } from './path.ts'
import { createCookies, createReply } from './reply.ts'
import { grantType, idscanTokenForm, idscanTokenFormWithArea, readIdscanForm } from './schema.ts'

const CSRF_BYTES = 24

/** Serves an OAuth 2.0 password grant (RFC 6749 section 4.3): grant type, parameters, password, area. */
export const tokenRoutes: FastifyPluginAsync<IdscanOptions> = async (app, options) => {
  const { login, issuer, audit, corsOrigins, idleTimeoutSeconds } = options
  const form = z.compile(options.requireArea ? idscanTokenFormWithArea : idscanTokenForm)

  app.setErrorHandler(createErrorHandler(tokenRefusals, audit))
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'content-type': CONTENT_TYPE,
      'cache-control': 'no-cache, no-store',
      pragma: 'no-cache',
      expires: '-1',
    })
    allowOrigin(corsOrigins, request, reply)
  })

  app.removeAllContentTypeParsers()
  await app.register(formbody, { parser: (text) => ({ ...readIdscanForm(text) }) })
  // A body without a Content-Type is read as a form, a body of any other type is not (I3).
  app.addContentTypeParser('*', { parseAs: 'string' }, async (request: FastifyRequest, body: string) =>
    request.headers['content-type'] === undefined ? readIdscanForm(body) : NO_PARAMETERS,
  )

  app.route({ method: 'POST', url: IDSCAN_PATH, handler: issue })
  app.route({ method: 'OPTIONS', url: IDSCAN_PATH, onRequest: answerPreflight, handler: (_request, reply) => reply })
  refuseOtherMethods(app, IDSCAN_PATH, ['POST', 'OPTIONS'])

  async function issue(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const parameters = (request.body ?? NO_PARAMETERS) as ReadParameters
    requirePasswordGrant(parameters)
    const { username, password, area } = parseParameters(form, parameters)
    // Before the password, so that the reply does not depend on the account.
    signingKey(issuer.keyring, issuer.clock())
    const account = accountOf(await login(username, password, clientIp(request)))
    if (area && !account.areas.has(area)) {
      const explain = () => explainArea(account, area)
      throw new Refusal('area_not_allowed', { account: account.username, explain })
    }
    const issued = issueIdscanToken(account, area, issuer)
    const { token, tokenId } = issued
    audit.issued({ contract: 'idscan', account: account.username, tokenId, ...requestFields(request) })
    const isSecure = options.secure || request.protocol.toLowerCase() === 'https'
    reply.header('set-cookie', createCookies(token, issuer.randomness.bytes(CSRF_BYTES), isSecure))
    return JSON.stringify(createReply(account, issued, idleTimeoutSeconds))
  }
}

/** In a hook, before the body is read. */
function answerPreflight(_request: FastifyRequest, reply: FastifyReply): void {
  reply.code(204).removeHeader('content-type').send()
}

function requirePasswordGrant({ values, repeated }: ReadParameters): void {
  const isPasswordGrant = grantType.safeParse(values.grant_type).success && !repeated.includes('grant_type')
  if (isPasswordGrant) return
  const given = values.grant_type === undefined ? 'the body has no grant_type' : 'grant_type is not password'
  const explain = () =>
    `${repeated.includes('grant_type') ? 'grant_type is repeated' : given}, or the Content-Type is not a form`
  throw new Refusal('unsupported_grant_type', { explain })
}

/** Returns the account of a login. @throws Refusal of a login that failed. */
function accountOf(result: LoginResult): IdscanAccount {
  if (!('refused' in result)) return result.account
  throw new Refusal(result.refused, {
    account: 'account' in result ? result.account?.username : undefined,
    ...('retryAfterMs' in result ? { retryAfterMs: result.retryAfterMs } : {}),
    explain: () => explainLogin(result),
  })
}
