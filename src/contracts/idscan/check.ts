import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { Clock } from '../../core/clock.ts'
import type { IdscanArea } from '../../core/idscan/account.ts'
import type { IdscanClaims } from '../../core/idscan/verify.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { explainCheck } from './explanations.ts'
import type { IdscanOptions } from './options.ts'

/** Checks the token of a request for an area, which counts as a use. @throws Refusal */
export type IdscanCheck = (request: FastifyRequest, area: IdscanArea) => Promise<IdscanClaims>

export interface IdscanCheckOptions extends Pick<IdscanOptions, 'tokens' | 'audit'> {
  readonly clock: Clock
}

/** Creates the check that gateways ask for (I28 to I33). */
export function createIdscanCheck({ tokens, clock, audit }: IdscanCheckOptions): IdscanCheck {
  /**
   * Returns the claims of the first token that is accepted.
   *
   * @throws Refusal of the first token that Trimint signed, or else of the first.
   */
  async function checkAny(candidates: readonly string[], operation: IdscanArea): Promise<IdscanClaims> {
    const refusals: Refusal[] = []
    for (const jws of candidates) {
      const checked = await tokens.check(jws, operation)
      if (!('refused' in checked)) return checked.claims
      const claims = 'claims' in checked ? checked.claims : undefined
      const { refused } = checked
      const explain = () => (claims ? explainCheck(refused, claims, operation, clock()) : tokens.explainInvalid(jws))
      refusals.push(new Refusal(refused, { operation, account: claims?.sub, tokenId: claims?.jti, explain }))
    }
    throw refusals.find(({ details }) => details.tokenId !== undefined) ?? refusals[0]
  }

  return async (request, operation) => {
    const candidates = readTokens(request.headers)
    if (candidates.length === 0) throw new Refusal('missing_authorization', { operation })
    const claims = await checkAny(candidates, operation)
    const { jti, sub } = claims
    audit.checked({ contract: 'idscan', account: sub, operation, tokenId: jti, ...requestFields(request) })
    return claims
  }
}

/** Each candidate costs a signature check. Browsers send one cookie for each domain and path that set it. */
const MAX_COOKIES = 10

/**
 * Returns the header, with or without a scheme (I28, I29); else every cookie `token` and every cookie without a name. A
 * cookie precedes Basic, which is meant for another server.
 */
function readTokens({ authorization = '', cookie = '' }: IncomingHttpHeaders): readonly string[] {
  const credential = authorization.trim()
  const header = credential === '' ? [] : [credential.replace(/^Bearer +/i, '')]
  if (header.length > 0 && !/^Basic /i.test(credential)) return header
  const pairs = cookie.split(';').map((pair) => pair.trim())
  const named = pairs.filter((pair) => /^token *=/.test(pair)).map((pair) => pair.slice(pair.indexOf('=') + 1).trim())
  const unnamed = pairs.filter((pair) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(pair))
  const cookies = [...named.filter((value) => value !== ''), ...unnamed].slice(0, MAX_COOKIES)
  return cookies.length > 0 ? cookies : header
}
