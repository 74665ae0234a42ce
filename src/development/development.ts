import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'
import type { ControlConfiguration } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import type { Randomness } from '../core/randomness.ts'
import type { Revocations } from '../core/revocations.ts'
import type { AuditLog } from '../observability/audit-log.ts'
import type { Stores } from '../store/open-stores.ts'
import type { Development } from './api.ts'
import { createSettableClock } from './clock/settable-clock.ts'
import { createTimers, type Repeat } from './clock/timers.ts'
import { createAccessCheck } from './control/access.ts'
import { serveControl } from './control/serve.ts'
import { createInjection } from './faults/inject.ts'
import type { Fault } from './faults/list.ts'
import { createStoreOutage } from './faults/store-outage.ts'
import { createJournal } from './journal/journal.ts'
import { createRequestRecorder, observeDecisions } from './journal/record-requests.ts'
import type { IssuedTokens, ReasonsByContract, Running } from './part.ts'
import { createParts } from './parts.ts'
import { decorateRequests } from './request-state.ts'
import { createShared, type Peers } from './shared.ts'
import type { Gates } from './stand-ins/gates.ts'

export interface DevelopmentOptions {
  readonly settings: ControlConfiguration
  /** Identifies this process among its peers. */
  readonly instance: string
  /** Without it, this process shares nothing. */
  readonly peers: Peers | undefined
  readonly systemClock: Clock
  readonly randomness: Randomness
  readonly reasons: ReasonsByContract
  readonly logger: Logger
  readonly registry: Registry
}

/** What local development puts in the place of parts of Trimint. It lives as long as the process, through reloads. */
export interface DevelopmentTools {
  readonly api: Development
  readonly clock: Clock
  readonly repeat: Repeat
  replaceStores(stores: Stores): Stores
  replaceRevocations(revocations: Revocations): Revocations
  replaceAudit(audit: AuditLog): AuditLog
  /** Adds hooks to a new app. Call it before routes are registered. */
  watch(app: FastifyInstance): void
  /** Injects faults into requests for paths that do not exist. */
  onUnknownPath(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void
  /** Serves the control API below `/_trimint`. */
  serve(app: FastifyInstance, tokens: IssuedTokens): Promise<void>
  /** Serves the stand-ins for the vendors' other APIs. */
  serveStandIns(app: FastifyInstance, gates: Gates): Promise<void>
  /** Takes over the state of other processes. Call it before the port opens. */
  start(running: Running): Promise<void>
  /** Ends waits, delays, streams and connections that hang, so that a shutdown need not wait for them. */
  release(): void
}

/** Loaded by a dynamic import, and only where the configuration has `control` (L1). */
export function createDevelopment(options: DevelopmentOptions): DevelopmentTools {
  const { settings, systemClock, randomness, reasons, logger, registry } = options
  let started: Running | undefined
  function running(): Running {
    if (!started) throw new Error('Trimint has not started')
    return started
  }

  const settableClock = createSettableClock(systemClock)
  const clock = settableClock.now
  const timers = createTimers(clock)
  const journal = createJournal(settings.journal)
  const shared = createShared(options.instance, options.peers)
  const parts = createParts({
    shared,
    clock,
    systemClock,
    randomness,
    reasons,
    running,
    settableClock,
    timers,
    journal,
  })
  const outage = createStoreOutage()
  const recorder = createRequestRecorder(journal, { clock, systemClock })
  const injected = new Counter({
    name: 'trimint_faults_injected_total',
    help: 'Faults that the control API injected.',
    labelNames: ['effect'],
    registers: [registry],
  })
  const injection = createInjection({
    faults: parts.faults.faults.all,
    take: parts.faults.take,
    outage,
    randomness,
    blockMs: () => guardBlockMs(running()),
    onInjected: reportInjection,
    onUnanswered: recorder.recordUnanswered,
  })
  const checkAccess = createAccessCheck({ settings, publicUrl: () => running().configuration().publicUrl, clock })

  function reportInjection({ id, then: effect }: Fault, { id: requestId }: FastifyRequest): void {
    const effects = Object.keys(effect)
    for (const kind of effects) injected.inc({ effect: kind })
    logger.warn({ event: 'fault.injected', injected: true, fault: id, effects, requestId })
  }

  return {
    api: parts.api,
    clock,
    repeat: timers.repeat,
    replaceStores: (stores) => parts.sessions.watchStores(outage.coverStores(stores)),
    replaceRevocations: outage.coverRevocations,
    replaceAudit: (audit) => observeDecisions(audit, settings.journal > 0),
    watch(app) {
      decorateRequests(app)
      injection.watch(app)
      // One hook for all of them: each costs time on the way of every request.
      app.addHook('onSend', (request, reply, payload, done) => {
        const changed = injection.changePayload(request, reply, payload)
        if (settableClock.isOff()) reply.header('x-trimint-now', new Date(clock()).toISOString())
        if (settings.journal > 0) recorder.record(request, reply)
        done(null, changed)
      })
    },
    onUnknownPath: injection.inject,
    serve: (app, tokens) => serveControl(app, { parts: parts.all, tokens, checkAccess }),
    serveStandIns: parts.standIns.serve,
    async start(given) {
      started = given
      await shared.join()
    },
    release() {
      injection.release()
      for (const part of parts.all) part.close?.()
    },
  }
}

const DEFAULT_BLOCK_MS = 900_000

function guardBlockMs({ configuration }: Running): number {
  const { guard } = configuration()
  return guard ? guard.block * 1000 : DEFAULT_BLOCK_MS
}
