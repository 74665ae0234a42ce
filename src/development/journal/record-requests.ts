import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../../core/clock.ts'
import { clientIp } from '../../http/client-ip.ts'
import { type AuditLog, type Decision, requestOf } from '../../observability/audit-log.ts'
import { explainRefusal } from '../../observability/reasons.ts'
import type { Fault } from '../faults/list.ts'
import { isExempt } from '../paths.ts'
import { stateOf } from '../request-state.ts'
import type { Decided, Entry } from './entry.ts'
import type { Journal } from './journal.ts'

export interface RequestRecorder {
  /** Records a request before its reply is sent: a caller that has the reply finds the request in the journal. */
  record(request: FastifyRequest, reply: FastifyReply): void
  /** Records a request that gets no reply. Its status is 0. */
  recordUnanswered(request: FastifyRequest): void
}

export function createRequestRecorder(
  journal: Journal,
  { clock, systemClock }: { readonly clock: Clock; readonly systemClock: Clock },
): RequestRecorder {
  let sequence = 0

  function add(request: FastifyRequest, status: number, replyHeaders: Entry['replyHeaders'], durationMs: number): void {
    const state = request.development
    sequence += 1
    journal.add({
      sequence,
      systemTime: systemClock(),
      time: clock(),
      id: request.id,
      address: clientIp(request),
      method: request.method,
      url: request.originalUrl,
      headers: request.headers,
      body: keepBody(request.body),
      status,
      replyHeaders,
      durationMs,
      decided: state?.decided,
      injectedBy: state?.fault?.id,
    })
  }

  return {
    record(request, reply) {
      if (isExempt(request.originalUrl)) return
      add(request, reply.statusCode, reply.getHeaders(), reply.elapsedTime)
    },
    recordUnanswered: (request) => add(request, 0, {}, 0),
  }
}

/** The largest body of a contract. The stand-ins take larger ones. */
const MAX_BODY_BYTES = 64 * 1024

function keepBody(body: unknown): unknown {
  return Buffer.isBuffer(body) && body.length > MAX_BODY_BYTES ? `[${body.length} bytes]` : body
}

/**
 * Marks the refusals that a fault caused, and keeps each decision for the journal (L14, L15, L16).
 *
 * @param hasJournal without one, no decision is kept.
 */
export function observeDecisions(audit: AuditLog, hasJournal: boolean): AuditLog {
  function refused(...[decision, explain]: Parameters<AuditLog['refused']>): void {
    const fault = decision[requestOf]?.development?.fault
    if (hasJournal) note('refused', decision, fault ? explainFault(fault) : explainRefusal(decision.reason, explain))
    audit.refused(fault ? { ...decision, injected: true } : decision)
  }

  function note(outcome: Decided['outcome'], decision: Decision & Partial<Decided>, explanation?: string): void {
    const request = decision[requestOf]
    if (!request) return
    const { contract, reason, tokenId, app, account, client, resourceServer, operation, parameters } = decision
    // Not the decision itself, which would keep the request in memory.
    stateOf(request).decided = {
      outcome,
      contract,
      reason,
      tokenId,
      app,
      account,
      client,
      resourceServer,
      operation,
      parameters,
      explanation,
    }
  }

  if (!hasJournal) return { ...audit, refused }
  return {
    ...audit,
    refused,
    issued(decision) {
      note('issued', decision)
      audit.issued(decision)
    },
    redeemed(decision) {
      note('redeemed', decision)
      audit.redeemed(decision)
    },
    answered(decision) {
      note('answered', decision)
      audit.answered(decision)
    },
    checked(decision) {
      note('checked', decision)
      audit.checked(decision)
    },
    introspected(decision) {
      note('introspected', decision)
      audit.introspected(decision)
    },
    revoked(decision) {
      note('revoked', decision)
      audit.revoked(decision)
    },
  }
}

function explainFault({ id }: Fault): string {
  return `Fault ${id} was injected; DELETE /_trimint/faults/${id} ends it.`
}
