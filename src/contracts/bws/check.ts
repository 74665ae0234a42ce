import type { FastifyRequest } from 'fastify'
import type { BwsOperation, CountedBwsToken } from '../../core/bws/tokens.ts'
import type { Clock } from '../../core/clock.ts'
import { Refusal } from '../../http/refusal.ts'
import { requestFields } from '../../observability/audit-log.ts'
import { explainCheck } from './explanations.ts'
import type { BwsOptions } from './options.ts'

/** Checks the token of a request for an operation, which may use up a try. @throws Refusal */
export type BwsCheck = (request: FastifyRequest, operation: BwsOperation) => Promise<CountedBwsToken>

export interface BwsCheckOptions extends Pick<BwsOptions, 'tokens' | 'audit'> {
  readonly clock: Clock
}

/** Creates the check that gateways ask for (B32 to B35). */
export function createBwsCheck({ tokens, clock, audit }: BwsCheckOptions): BwsCheck {
  return async (request, operation) => {
    const { authorization } = request.headers
    if (!authorization) throw new Refusal('missing_authorization', { operation })
    const jws = readToken(authorization)
    if (jws === undefined) throw new Refusal('malformed_authorization', { operation })
    const checked = await tokens.check(jws, operation)
    const token = 'token' in checked ? checked.token : undefined
    if ('refused' in checked) {
      const { refused } = checked
      const explain = () => (token ? explainCheck(refused, token, operation, clock()) : tokens.explainInvalid(jws))
      throw new Refusal(refused, { operation, app: token?.app, tokenId: token?.tokenId, explain })
    }
    const { app, tokenId } = checked.token
    const { triesLeft } = checked
    audit.checked({ contract: 'bws', app, operation, tokenId, triesLeft, ...requestFields(request) })
    return checked
  }
}

/** `Authorization: Bearer <token>` or `Authorization: JWT <token>` (B32). */
function readToken(authorization: string): string | undefined {
  return /^(?:Bearer|JWT) +([\w.-]+) *$/i.exec(authorization)?.[1]
}
