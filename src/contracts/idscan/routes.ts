import formbody from '@fastify/formbody'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { IdscanAccount, IdscanArea } from '../../core/idscan/account.ts'
import { type IdscanIssuer, issueIdscanToken } from '../../core/idscan/issue.ts'
import type { IdscanLogin, LoginResult } from '../../core/idscan/login.ts'
import { clientIp } from '../../http/client-ip.ts'
import type { ReadParameters } from '../../http/form-parameters.ts'
import { Refusal } from '../../http/refusal.ts'
import { type AuditLog, requestFields } from '../../observability/audit-log.ts'
import { allowOrigin } from './cors.ts'
import { CONTENT_TYPE, createErrorHandler, invalidParameters } from './errors.ts'
import { IDSCAN_PATH } from './path.ts'
import { createCookies, createReply } from './reply.ts'
import { grantType, idscanTokenForm, idscanTokenFormWithArea, readIdscanForm } from './schema.ts'

export interface IdscanRoutesOptions {
  readonly login: IdscanLogin
  readonly issuer: IdscanIssuer
  readonly audit: AuditLog
  /** Seconds; echoed. */
  readonly idleTimeout: number
  readonly requireArea: boolean
  readonly corsOrigins: ReadonlySet<string>
  /** Whether callers come over https even where this process does not see it. */
  readonly secure: boolean
}

const NO_FORM: ReadParameters = { values: {}, repeated: [] }
const CSRF_BYTES = 24

/**
 * GBG IDscan Enterprise's token authentication, an OAuth 2.0 password grant (RFC 6749 section 4.3): grant type, parameters,
 * password, area.
 *
 * @see docs/contracts/idscan.md
 */
export const idscanRoutes: FastifyPluginAsync<IdscanRoutesOptions> = async (app, options) => {
  const { login, issuer, audit, corsOrigins } = options
  const form = z.compile(options.requireArea ? idscanTokenFormWithArea : idscanTokenForm)

  app.setErrorHandler(createErrorHandler(audit))
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers({
      'content-type': CONTENT_TYPE,
      'cache-control': 'no-cache, no-store',
      pragma: 'no-cache',
      expires: '-1',
    })
    allowOrigin(corsOrigins, request, reply)
    done()
  })

  app.removeAllContentTypeParsers()
  await app.register(formbody, { parser: (text) => ({ ...readIdscanForm(text) }) })
  // A body without a Content-Type is a form; one of any other type is none (I3).
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    done(null, request.headers['content-type'] === undefined ? readIdscanForm(String(body)) : NO_FORM)
  })

  app.route({ method: 'POST', url: IDSCAN_PATH, handler: issue })
  app.route({ method: 'OPTIONS', url: IDSCAN_PATH, handler: answerPreflight, onRequest: answerPreflight })
  const others = app.supportedMethods.filter((method) => method !== 'POST' && method !== 'OPTIONS')
  app.route({
    method: others,
    url: IDSCAN_PATH,
    exposeHeadRoute: false,
    onRequest: refuseMethod,
    handler: refuseMethod,
  })

  function issue(request: FastifyRequest, reply: FastifyReply): string | Promise<string> {
    const { values, repeated } = (request.body ?? NO_FORM) as ReadParameters
    if (!grantType.safeParse(values.grant_type).success || repeated.includes('grant_type')) {
      throw new Refusal('unsupported_grant_type')
    }
    const asked = form.safeParse(values)
    if (!asked.success || repeated.length > 0) throw invalidParameters(repeated, asked.error?.issues ?? [])
    const { username, password, area } = asked.data

    const result = login(username, password, clientIp(request))
    const answer = (outcome: LoginResult) => issueTo(accountOf(outcome), area, request, reply)
    return result instanceof Promise ? result.then(answer) : answer(result)
  }

  function issueTo(
    account: IdscanAccount,
    area: IdscanArea | undefined,
    request: FastifyRequest,
    reply: FastifyReply,
  ): string {
    if (area && !account.areas.has(area)) throw new Refusal('area_not_allowed', { account: account.username })

    const issued = issueIdscanToken(account, area, issuer)
    audit.issued({
      contract: 'idscan',
      account: account.username,
      tokenId: issued.tokenId,
      ...requestFields(request),
    })
    const secure = options.secure || request.protocol.toLowerCase() === 'https'
    reply.header('set-cookie', createCookies(issued.token, issuer.randomness.bytes(CSRF_BYTES), secure))
    return JSON.stringify(createReply(account, issued, options.idleTimeout))
  }

  async function answerPreflight(_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    return reply.code(204).removeHeader('content-type').send()
  }

  async function refuseMethod(): Promise<never> {
    throw new Refusal('method_not_allowed')
  }
}

/** Who has logged in. @throws Refusal for whoever has not. */
function accountOf(outcome: LoginResult): IdscanAccount {
  if (!('refused' in outcome)) return outcome.account
  throw new Refusal(outcome.refused, {
    account: 'account' in outcome ? outcome.account?.username : undefined,
    ...('retryAfter' in outcome ? { retryAfter: outcome.retryAfter } : {}),
  })
}
