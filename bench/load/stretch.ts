// One stretch of load on one server, as fast as it answers or at a given rate.

import { type Answer, type Connection, fillIn, openConnection, TOKEN_PLACE } from './http.ts'
import type { Load, Measured, Requests } from './protocol.ts'

/** How long a generator that shares its core gives it away, again and again, while it sends at a given rate. */
const NAP_MS = 0.1

/** Without any answer for so long, the stretch fails. */
const SILENCE_TIMEOUT_S = 15

/** Creates an error whose cause is the whole exchange as text. */
function unexpectedAnswer(expected: string, request: Buffer, { head, body }: Answer): Error {
  const cause = `expected: ${expected}\n\n--- request\n${request}\n\n--- answer\n${head}\n\n${body}\n`
  const [statusLine] = head.split('\r\n', 1)
  return new Error(`unexpected answer: ${statusLine} ${body.slice(0, 80)}; expected ${expected}`, { cause })
}

type NextRequest = () => Buffer | undefined

/** @param next returns the next request; undefined ends the stretch early */
export async function runStretch(load: Load, next: NextRequest, onToken?: (token: string) => void): Promise<Measured> {
  const { port, seconds, requests, rate, awake } = load
  const expectedBody = new RegExp(requests.expect.body)
  const finished = Promise.withResolvers<void>()
  const idle: Connection[] = []
  const latencies = createSeries()
  let pending = 0
  let answers = 0
  let isOver = false
  let lastAnswer = 0
  let silentSeconds = 0

  function onAnswer(answer: Answer, connection: Connection): void {
    const now = performance.now()
    const match = expectedBody.exec(answer.body)
    if (answer.status !== requests.expect.status || !match) {
      const { status, body } = requests.expect
      throw unexpectedAnswer(`${status} ${body}`, connection.request, answer)
    }
    onToken?.(match[1] ?? '')
    silentSeconds = 0
    pending -= 1
    if (!isOver) {
      latencies.add(now - connection.due)
      answers += 1
      lastAnswer = now
    }
    pace.release(connection, now)
    if (isOver && pending === 0) finished.resolve()
  }

  /** @returns whether there was a request left to send */
  function send(connection: Connection, due: number): boolean {
    const request = isOver ? undefined : next()
    if (!request) {
      isOver = true
      return false
    }
    connection.due = due
    connection.request = request
    connection.send()
    pending += 1
    return true
  }

  const opening = Array.from({ length: load.connections }, () =>
    openConnection(port, { onAnswer, onError: finished.reject }),
  )
  const connections = await Promise.all(opening)
  idle.push(...connections)
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const end = begin + seconds * 1000
  lastAnswer = begin
  const pace = rate === undefined ? closedLoop() : openLoop(1000 / rate)
  pace.start()
  const timer = setTimeout(() => {
    isOver = true
    if (pending === 0) finished.resolve()
  }, seconds * 1000)
  // Counts seconds one by one: after a pause of the whole machine, answers are read before the next count.
  const watch = setInterval(() => {
    silentSeconds += 1
    if (silentSeconds > SILENCE_TIMEOUT_S) finished.reject(new Error(`${pending} answers missing after ${answers}`))
  }, 1_000)
  try {
    await finished.promise
  } finally {
    clearTimeout(timer)
    clearInterval(watch)
    isOver = true
    for (const connection of connections) connection.close()
  }
  const { user, system } = process.cpuUsage(cpu)
  return {
    answers,
    seconds: (Math.min(lastAnswer, end) - begin) / 1000,
    latencyMs: latencies.percentiles(),
    generatorLoad: (user + system) / 1000 / (performance.now() - begin),
  }

  /** Each connection sends again after its answer. */
  function closedLoop() {
    const poll = (): void => {
      if (!isOver) setImmediate(poll)
    }
    return {
      start(): void {
        for (const connection of idle.splice(0)) send(connection, performance.now())
        if (awake) poll()
      },
      release: (connection: Connection, now: number): void => void send(connection, now),
    }
  }

  /**
   * Requests become due at a steady rate; one without a free connection waits, and its latency counts from when it was
   * due.
   */
  function openLoop(gapMs: number) {
    const nap = new Int32Array(new SharedArrayBuffer(4))
    let due = begin
    const sendDue = (now: number): void => {
      for (let connection = idle.at(-1); connection && due <= now; connection = idle.at(-1)) {
        if (!send(connection, due)) return
        idle.pop()
        due += gapMs
      }
    }
    // Polls: timers are up to a millisecond late, longer than most answers take.
    const tick = (): void => {
      if (isOver) return
      sendDue(performance.now())
      if (!awake) Atomics.wait(nap, 0, 0, NAP_MS)
      setImmediate(tick)
    }
    const release = (connection: Connection, now: number): void => {
      idle.push(connection)
      sendDue(now)
    }
    return { start: tick, release }
  }
}

function createSeries() {
  let values = new Float64Array(1 << 16)
  let length = 0
  return {
    add(value: number): void {
      if (length === values.length) {
        const larger = new Float64Array(2 * length)
        larger.set(values)
        values = larger
      }
      values[length++] = value
    },
    percentiles(): Measured['latencyMs'] {
      const sorted = values.subarray(0, length).sort()
      const at = (share: number): number => sorted[Math.max(0, Math.ceil(length * share) - 1)] ?? 0
      return { p50: at(0.5), p99: at(0.99) }
    },
  }
}

/** Returns the same request each time, or one for each token until they are used up. */
export function createSource(
  { request, uses = 1 }: Requests,
  tokens: readonly string[],
  connections: number,
): NextRequest {
  if (!request.includes(TOKEN_PLACE)) {
    const bytes = Buffer.from(request)
    return () => bytes
  }
  const requests = tokens.map((token) => Buffer.from(fillIn(request, token)))
  let turn = 0
  return () => {
    // Concurrent requests carry different tokens, as those of several users do.
    const group = Math.floor(turn / (connections * uses))
    const found = requests[group * connections + (turn % connections)]
    turn += 1
    return found
  }
}
