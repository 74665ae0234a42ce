import type { FastifyReply, FastifyRequest } from 'fastify'
import type { BwsApp } from '../../core/bws/issue.ts'
import type { BwsOperation, BwsTokens, CountedBwsToken } from '../../core/bws/tokens.ts'
import type { Clock } from '../../core/clock.ts'
import type { Guard } from '../../core/guard.ts'
import type { IdscanArea } from '../../core/idscan/account.ts'
import type { IdscanClaims } from '../../core/idscan/verify.ts'
import type { AuditLog } from '../../observability/audit-log.ts'

/** Replies to a refused request in the words of a contract. */
export type ReplyToError = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** What the app passes to the stand-ins of BWS: the contract's own checks and refusals. */
export interface BwsGate {
  /** By App-ID. */
  readonly apps: ReadonlyMap<string, BwsApp>
  readonly tokens: Pick<BwsTokens, 'find'>
  /** Checks and counts as for a gateway (B32 to B35). @throws Refusal */
  readonly check: (request: FastifyRequest, operation: BwsOperation) => Promise<CountedBwsToken>
  readonly guard: Guard
  readonly clock: Clock
  readonly audit: AuditLog
  readonly refuseToken: ReplyToError
  /** For HTTP Basic. */
  readonly refuseApp: ReplyToError
}

/** What the app passes to the stand-ins of IDscan. */
export interface IdscanGate {
  /** Checks as for a gateway (I28 to I33). @throws Refusal */
  readonly check: (request: FastifyRequest, area: IdscanArea) => Promise<IdscanClaims>
  readonly refuseToken: ReplyToError
  /** The folder `idscan.fixtures`. */
  readonly fixtures: string | undefined
}

/** Undefined where the configuration has no stand-ins of a vendor. */
export interface Gates {
  readonly bws: BwsGate | undefined
  readonly idscan: IdscanGate | undefined
}
