// The load generator: a process that checks every answer. It takes jobs from its parent and reports on each. Hand-made
// because it must cost less than bare node:http (22 µs an answer): this one costs 20 µs, autocannon 9 costs 37 µs.

import { setDefaultAutoSelectFamily } from 'node:net'
import { percentile } from '../report.ts'
import type { Job, Measured, Report } from './client.ts'
import { type Answer, type Connection, fillIn, openConnection, TOKEN_PLACE } from './http.ts'

setDefaultAutoSelectFamily(false)

/** How long a generator that shares its core gives it away, again and again, while it sends at a given rate. */
const NAP_MS = 0.1

/** Without any answer for so long, the stretch fails. */
const SILENCE_TIMEOUT_S = 15

/** Tokens for the next job. */
const kept: string[] = []

/** Creates an error whose cause is the whole exchange as text. */
function unexpectedAnswer(expected: string, request: Buffer, { head, body }: Answer): Error {
  const cause = `expected: ${expected}\n\n--- request\n${request}\n\n--- answer\n${head}\n\n${body}\n`
  const [statusLine] = head.split('\r\n', 1)
  return new Error(`unexpected answer: ${statusLine} ${body.slice(0, 80)}; expected ${expected}`, { cause })
}

/** One stretch of load on one server, as fast as it answers or at a given rate. */
async function runStretch(job: Job): Promise<Measured> {
  const { port, seconds, requests, rate, awake } = job
  const next = createSource(job, job.tokens ?? kept.splice(0))
  const expectedBody = new RegExp(requests.expect)
  const finished = Promise.withResolvers<void>()
  const idle: Connection[] = []
  const latenciesMs: number[] = []
  let pending = 0
  let isOver = false
  let lastAnswer = 0
  let silentSeconds = 0

  function onAnswer(answer: Answer, connection: Connection): void {
    const now = performance.now()
    const match = expectedBody.exec(answer.body)
    if (answer.status !== 200 || !match) {
      throw unexpectedAnswer(`200 ${requests.expect}`, connection.request, answer)
    }
    if (job.count) kept.push(match[1] ?? '')
    silentSeconds = 0
    pending -= 1
    if (!isOver) {
      latenciesMs.push(now - connection.due)
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

  const opening = Array.from({ length: job.connections }, () => openConnection(port, onAnswer, finished.reject))
  const connections = await Promise.all(opening)
  idle.push(...connections)
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const end = begin + seconds * 1000
  lastAnswer = begin
  const pace = rate === undefined ? closedLoop() : openLoop(1000 / rate)
  pace.start()
  using _timer = setTimeout(() => {
    isOver = true
    if (pending === 0) finished.resolve()
  }, seconds * 1000)
  // Counts seconds one by one: after a pause of the whole machine, answers are read before the next count.
  using _watch = setInterval(() => {
    silentSeconds += 1
    if (silentSeconds > SILENCE_TIMEOUT_S)
      finished.reject(new Error(`${pending} answers missing after ${latenciesMs.length}`))
  }, 1_000)
  try {
    await finished.promise
  } finally {
    isOver = true
    for (const connection of connections) connection.close()
  }
  const { user, system } = process.cpuUsage(cpu)
  return {
    answers: latenciesMs.length,
    seconds: (Math.min(lastAnswer, end) - begin) / 1000,
    latencyMs: { p50: percentile(latenciesMs, 0.5), p99: percentile(latenciesMs, 0.99) },
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

/**
 * Returns a function that returns the same request each time, or one for each token until they are used up. Undefined
 * ends the stretch early.
 */
function createSource({ requests, connections, count = Number.POSITIVE_INFINITY }: Job, tokens: readonly string[]) {
  const { request, uses = 1 } = requests
  const filled = tokens.map((token) => Buffer.from(fillIn(request, token)))
  const bytes = Buffer.from(request)
  const needsTokens = request.includes(TOKEN_PLACE)
  let turn = -1
  return (): Buffer | undefined => {
    turn += 1
    if (turn >= count) return undefined
    if (!needsTokens) return bytes
    // Concurrent requests carry different tokens, as those of several users do.
    const group = Math.floor(turn / (connections * uses))
    return filled[group * connections + (turn % connections)]
  }
}

process.on('message', async (job: Job) => {
  let report: Report
  try {
    report = { done: await runStretch(job) }
  } catch (error) {
    const { message, cause } = error as Error
    report = { failed: message, exchange: typeof cause === 'string' ? cause : undefined }
  }
  process.send?.(report)
})
