import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyReply, FastifyRequest, preParsingHookHandler, RouteOptions } from 'fastify'
import type { Randomness } from '../../core/randomness.ts'
import { OVERLOAD_RETRY_AFTER_MS, Refusal, type RefusalReason } from '../../http/refusal.ts'
import { isExempt } from '../paths.ts'
import { stateOf } from '../request-state.ts'
import { fits, identify, needsBody } from './identity.ts'
import { type Fault, isInForce } from './list.ts'
import type { FaultEffect } from './schema.ts'
import type { StoreOutage } from './store-outage.ts'

export interface InjectionDependencies {
  readonly faults: () => readonly Fault[]
  /** Counts an occurrence in every process; resolves to false where another request was the last one. */
  readonly take: (id: string) => Promise<boolean>
  readonly outage: StoreOutage
  readonly randomness: Randomness
  /** Milliseconds that a block by the guard lasts. */
  readonly blockMs: () => number
  /** Called for each occurrence. */
  readonly onInjected: (fault: Fault, request: FastifyRequest) => void
  /** Called for a request that gets no reply. */
  readonly onUnanswered: (request: FastifyRequest) => void
}

export interface Injection {
  /** Injects a fault that matches a request, or calls `done`. */
  inject(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void
  /** Adds the hooks before a reply. Call it before routes are registered. */
  watch(app: FastifyInstance): void
  /** Returns what to send in place of a payload. */
  changePayload(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown
  /** Ends delays, and closes connections that hang. */
  release(): void
}

/** Larger bodies are refused by every contract. */
const MAX_BODY_BYTES = 64 * 1024

type OnRequest = Extract<NonNullable<RouteOptions['onRequest']>, readonly unknown[]>[number]

/** Injects faults into requests: before a route's own hooks, and after those that set a contract's headers. */
export function createInjection(dependencies: InjectionDependencies): Injection {
  const { faults, take, outage, randomness, blockMs, onInjected, onUnanswered } = dependencies
  const hanging = new Set<{ destroy(): unknown }>()
  let released = new AbortController()

  async function findFault(request: FastifyRequest): Promise<Fault | undefined> {
    const inForce = faults().filter(isInForce)
    const body = inForce.some(({ match }) => needsBody(match)) ? await peekBody(request) : undefined
    const identity = identify(request, body)
    for (const fault of inForce) if (fits(fault.match, identity) && (await take(fault.id))) return fault
    return undefined
  }

  function inject(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) {
    if (faults().length === 0 || isExempt(request.originalUrl)) return void done()
    // Not async: an async hook would let Fastify go on while a reply waits for its batch.
    applyFault(request, reply).then((goesOn) => {
      if (goesOn) done()
    }, done)
  }

  /** Returns whether the request goes on to its route. */
  async function applyFault(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const fault = await findFault(request)
    if (!fault) return true
    const state = stateOf(request)
    state.fault = fault
    onInjected(fault, request)
    const effect = fault.then
    if (effect.delay !== undefined) {
      await sleep(pickDelay(effect.delay, randomness), undefined, { signal: released.signal }).catch(() => undefined)
    }
    if (effect.reason !== undefined) throw createRefusal(effect.reason, request)
    if (effect.status !== undefined) {
      sendReply(effect, reply)
      return false
    }
    if (effect.connection !== undefined && effect.connection !== 'cut') {
      breakConnection(effect.connection, request, reply)
      return false
    }
    return true
  }

  function createRefusal(reason: RefusalReason, { params, routeOptions }: FastifyRequest): Refusal {
    const { operation = routeOptions.config?.operation, area } = (params ?? {}) as { operation?: string; area?: string }
    const waits = {
      blocked: blockMs(),
      overloaded: OVERLOAD_RETRY_AFTER_MS,
      store_unavailable: OVERLOAD_RETRY_AFTER_MS,
    }
    const retryAfterMs = waits[reason as keyof typeof waits]
    return new Refusal(reason, {
      operation: operation ?? area,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }

  function breakConnection(kind: 'reset' | 'close' | 'hang' | 'garbage', request: FastifyRequest, reply: FastifyReply) {
    const { socket } = request.raw
    reply.hijack()
    onUnanswered(request)
    if (kind === 'hang') {
      hanging.add(socket)
      socket.once('close', () => hanging.delete(socket))
    } else if (kind === 'garbage') socket.end(Buffer.concat([Buffer.of(0), randomness.bytes(63)]))
    else if (kind === 'reset' && !(socket instanceof TLSSocket)) socket.resetAndDestroy()
    else socket.destroy()
  }

  /** Lets the steps of a route run without the store where a fault says so. */
  function covered<Step extends (this: FastifyInstance, request: FastifyRequest, ...more: never[]) => unknown>(
    step: Step,
  ): Step {
    return function (this: FastifyInstance, request: FastifyRequest, ...more: never[]) {
      const isAway = request.development?.fault?.then.store !== undefined
      return isAway ? outage.run(() => step.call(this, request, ...more)) : step.call(this, request, ...more)
    } as Step
  }

  return {
    inject,
    watch(app) {
      app.addHook('onRoute', (route) => {
        const own = [route.onRequest ?? []].flat() as OnRequest[]
        // Fastify derives the route of HEAD from that of GET, hooks included.
        if (isExempt(route.url) || own.includes(inject)) return
        route.onRequest = [inject, ...own.map((hook) => covered(hook as never) as OnRequest)]
        route.preParsing = [replayBody, ...([route.preParsing ?? []].flat() as preParsingHookHandler[])]
        route.handler = covered(route.handler as never)
      })
    },
    changePayload(request, reply, payload) {
      return request.development?.fault?.then.connection === 'cut' ? cutReply(request, reply, payload) : payload
    },
    release() {
      released.abort()
      released = new AbortController()
      for (const socket of hanging) socket.destroy()
    },
  }
}

/** Reads the body, and keeps it for the parser of the route. */
async function peekBody(request: FastifyRequest): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  const source = request.raw[Symbol.asyncIterator]()
  const state = stateOf(request)
  while (length <= MAX_BODY_BYTES) {
    const { done, value } = await source.next().catch(() => ({ done: true, value: undefined }))
    if (done) break
    chunks.push(value as Buffer)
    length += (value as Buffer).length
  }
  state.replay = { chunks, rest: length > MAX_BODY_BYTES ? source : undefined }
  return length > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks)
}

const replayBody: preParsingHookHandler = (request, _reply, payload, done) => {
  const replay = request.development?.replay
  done(null, replay ? Readable.from(join(replay)) : payload)
}

async function* join({ chunks, rest }: { chunks: readonly Buffer[]; rest: AsyncIterator<Buffer> | undefined }) {
  yield* chunks
  for (let next = await rest?.next(); next && !next.done; next = await rest?.next()) yield next.value
}

function pickDelay(delay: NonNullable<FaultEffect['delay']>, randomness: Randomness): number {
  if (typeof delay === 'number') return delay
  const share = Buffer.from(randomness.bytes(4)).readUInt32BE() / 0xffffffff
  return delay.from + (delay.to - delay.from) * share
}

function sendReply({ status = 200, headers = {}, body }: FaultEffect, reply: FastifyReply): void {
  const isJson = body !== undefined && typeof body !== 'string'
  reply
    .code(status)
    .header('content-type', isJson ? 'application/json' : 'text/plain; charset=utf-8')
    .headers(headers)
    .serializer((payload: unknown) => String(payload))
    .send(isJson ? JSON.stringify(body) : (body ?? ''))
}

/** Returns half of a reply that announces all of it, and then closes the connection. */
function cutReply(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
  const { socket } = request.raw
  const isBytes = typeof payload === 'string' || Buffer.isBuffer(payload)
  if (!isBytes || payload.length === 0) {
    socket.destroy()
    return payload
  }
  const bytes = Buffer.from(payload as string)
  reply.header('content-length', bytes.length)
  return Readable.from(sendHalf(bytes, socket))
}

async function* sendHalf(bytes: Buffer, socket: { destroy(): unknown }) {
  yield bytes.subarray(0, Math.floor(bytes.length / 2))
  // The half has to reach the kernel first.
  await sleep(20)
  socket.destroy()
}
