import { setTimeout as sleep } from 'node:timers/promises'
import { startDeadline } from '../deadline.ts'
import { createRedisClient, type RedisClient } from './client.ts'
import { isFromUnusableServer, replacedError, requirePrimary, requireReplicated } from './primary.ts'
import type { RedisServer } from './server.ts'
import type { Topology } from './topology.ts'

/** A step that Redis has not answered by then fails, and its connection is replaced. */
const STORE_TIMEOUT_MS = 800
/** Limits the look-up of the address, the handshakes and the check of the server. */
const CONNECT_TIMEOUT_MS = 2_000
const MIN_RECONNECT_DELAY_MS = 50
const MAX_RECONNECT_DELAY_MS = 1_000

/**
 * How often each connection asks its server whether it is a primary, and Sentinel or the Cluster for the primary. An
 * idle connection notices a fail-over before a request does, and is never idle for Redis: the smallest `timeout` after
 * which Redis closes connections is one second.
 */
const PROBE_INTERVAL_MS = 500

/** Sends commands, and must not keep the client. `connectionId` differs for each connection. */
type Step<Result> = (client: RedisClient, connectionId: number) => Promise<Result>

/** A connection to the primary that is replaced as soon as its server turns out not to be one, or not to answer. */
export interface RedisConnection {
  /**
   * Runs a step on the client in use. A step that begins while the connection is replaced waits for the first attempt;
   * during later attempts it rejects at once.
   *
   * @throws Error when the step takes longer than 800 ms, when an earlier one has taken 600 ms, without a connection, or
   *   the step's error.
   */
  run<Result>(step: Step<Result>): Promise<Result>
  /**
   * Runs a step that writes as {@link run} does. Resolves once as many replicas as the URL asks for have what it wrote.
   *
   * @throws Error as {@link run} does, and where too few replicas have confirmed it: the write may still take effect.
   */
  write<Result>(step: Step<Result>): Promise<Result>
  /** Precedes the name of each key. Commands add it, patterns do not. */
  readonly keyPrefix: string
  /** Waits for the attempt to connect that is in progress, if any. @throws the error of that attempt. */
  opened(): Promise<void>
  /** Closes the connection after its pending steps, or after 800 ms. Without a connection it closes at once. */
  close(): Promise<void>
}

export interface RedisConnectionOptions {
  readonly topology: Pick<Topology, 'find' | 'watch' | 'keyPrefix'>
  /** How many replicas must have a write. */
  readonly replicas: number
  /** Checks and prepares each new connection before its use. */
  readonly prepare: (client: RedisClient) => Promise<void>
  /** Called whenever a connection is lost, and after each attempt that failed. */
  readonly onError: (error: Error) => void
}

interface Session {
  readonly id: number
  readonly server: RedisServer
  readonly client: RedisClient
  /** Waits for replicas. Writes that were answered while it waited share the next wait. */
  readonly replicate: () => Promise<void>
  /** Steps that have waited for 600 ms. Until they are answered, further ones would only lengthen the queue. */
  readonly late: Set<object>
  /** Why the session has ended. Commands that were pending reject with it. */
  failure?: Error
}

/** Creates a connection, and connects in the background until it is closed. */
export function createRedisConnection(options: RedisConnectionOptions): RedisConnection {
  const { topology, replicas, prepare, onError } = options
  const { keyPrefix } = topology
  let session: Session | undefined
  /** While it is connected and checked. A server that hangs accepts connections. */
  let next: Session | undefined
  let lastId = 0
  let lastError = new Error('not connected')
  /** The first attempt after a loss. Steps wait for it. */
  let firstAttempt: Promise<void> | undefined
  const closing = new AbortController()
  /** Each ends within 800 ms. */
  const running = new Set<Promise<unknown>>()
  let isClosing = false

  async function connect(): Promise<void> {
    lastId += 1
    const server = await withDeadline(CONNECT_TIMEOUT_MS, topology.find)
    const client = createRedisClient(server, (error) => replace(connecting, error), keyPrefix)
    const replicate = shareNext(() => requireReplicated(client, replicas))
    const connecting: Session = { id: lastId, server, client, replicate, late: new Set() }
    next = connecting
    const abandon = (): void => client.destroy()
    closing.signal.addEventListener('abort', abandon)
    try {
      await withDeadline(CONNECT_TIMEOUT_MS, async () => {
        await client.connect()
        await prepare(client)
        // A server that hung until now may have been replaced meanwhile.
        if (topology.watch && (await topology.find()).url !== server.url) throw replacedError()
      })
      if (connecting.failure) throw connecting.failure
      closing.signal.throwIfAborted()
    } catch (error) {
      client.destroy()
      throw connecting.failure ?? error
    } finally {
      next = undefined
      closing.signal.removeEventListener('abort', abandon)
    }
    session = connecting
  }

  async function connectUntilClosed(): Promise<void> {
    for (let attempts = 0; !closing.signal.aborted; attempts++) {
      const attempt = connect()
      if (attempts === 0) firstAttempt = attempt
      try {
        await attempt
        return
      } catch (error) {
        if (closing.signal.aborted) return
        lastError = error as Error
        onError(lastError)
      } finally {
        firstAttempt = undefined
      }
      await sleep(reconnectDelayMs(attempts), undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }

  /** Ends a session, unless it has ended, and connects anew. */
  function replace(ended: Session, error: Error): void {
    ended.failure ??= error
    if (ended === next) ended.client.destroy()
    if (ended !== session) return
    session = undefined
    lastError = error
    ended.client.destroy()
    onError(error)
    void connectUntilClosed()
  }

  async function currentSession(): Promise<Session> {
    if (!session) await firstAttempt?.catch(() => undefined)
    if (!session) throw new Error(`Redis is unavailable: ${lastError.message}`, { cause: lastError })
    return session
  }

  /** Leaves the server in use where another one is the primary, although the one in use may not know it. */
  async function follow(): Promise<void> {
    const used = session ?? next
    if (!used || !topology.watch) return
    try {
      const primary = await topology.watch()
      if (primary.url !== used.server.url) replace(used, replacedError())
    } catch (error) {
      if (isFromUnusableServer(error)) replace(used, error as Error)
    }
  }

  function run<Result>(step: Step<Result>, isWrite = false): Promise<Result> {
    if (isClosing) return Promise.reject(new Error('the store is closed'))
    const result = perform(step, isWrite)
    running.add(result)
    const forget = (): void => void running.delete(result)
    result.then(forget, forget)
    return result
  }

  async function perform<Result>(step: Step<Result>, isWrite: boolean): Promise<Result> {
    let used: Session | undefined
    async function begin(): Promise<Result> {
      used = session ?? (await currentSession())
      if (used.late.size > 0) throw new Error('Redis is too slow; no further steps until it answers')
      const result = await step(used.client, used.id)
      if (isWrite && replicas > 0) await used.replicate()
      return result
    }
    try {
      return await withDeadline(STORE_TIMEOUT_MS, begin, () => used?.late.add(begin))
    } catch (error) {
      if (used && (error instanceof NoAnswerError || isFromUnusableServer(error))) replace(used, error as Error)
      throw used?.failure ?? error
    } finally {
      used?.late.delete(begin)
    }
  }

  const probe = setInterval(() => {
    void run(requirePrimary).catch(() => undefined)
    void follow()
  }, PROBE_INTERVAL_MS)
  void connectUntilClosed()

  return {
    run: (step) => run(step),
    write: (step) => run(step, true),
    keyPrefix,
    opened: async () => firstAttempt,
    async close() {
      clearInterval(probe)
      isClosing = true
      // A step may send several commands, one after the other.
      await Promise.allSettled(running)
      closing.abort()
      const last = session
      if (!last) return
      session = undefined
      await withDeadline(STORE_TIMEOUT_MS, () => last.client.close()).catch(() => undefined)
      // After a close that timed out the connection is still open, although the client reports that it is not.
      last.client.destroy()
    },
  }
}

/** Returns how long to wait after a failed attempt, counted from 0. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(MIN_RECONNECT_DELAY_MS * 2 ** attempt, MAX_RECONNECT_DELAY_MS)
}

/** Returns a function that runs a step, but one at a time: calls during a run share the next one. */
function shareNext(step: () => Promise<void>): () => Promise<void> {
  let running = Promise.resolve()
  let next: Promise<void> | undefined
  return () => {
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined
        running = step()
        return running
      })
    return next
  }
}

class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
}

/**
 * Rejects when a step takes too long. Redis may hang, or a network may drop packets, after a command has been written.
 *
 * @param onLate called after three quarters of the time.
 * @throws NoAnswerError on timeout, or the step's error.
 */
export function withDeadline<Result>(
  timeoutMs: number,
  step: () => Promise<Result>,
  onLate?: () => void,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onExpiry = () => reject(new NoAnswerError(`Redis has not answered within ${timeoutMs} ms`))
    const stop = startDeadline(timeoutMs, { onExpiry, ...(onLate ? { onLate } : {}) })
    step().then(resolve, reject).finally(stop)
  })
}
