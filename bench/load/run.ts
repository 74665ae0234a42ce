// One stretch of load on one server, as fast as it answers or at a given rate. Not a program of its own.

import { type Connection, openConnection } from './connection.ts'
import { type Answer, fillIn, TOKEN_PLACE } from './http.ts'
import type { Expectation, Measured, Percentiles, Requests } from './protocol.ts'

/** Milliseconds that whoever shares the generator's core has it for, again and again, while requests are sent at a steady pace. */
const NAP = 0.1

/** Seconds without an answer until a server is given up. */
const PATIENCE = 15

interface Stretch {
  readonly port: number
  readonly connections: number
  /** The next request; undefined when there is none left. */
  readonly next: () => Buffer | undefined
  readonly expect: Expectation
  readonly seconds: number
  /** Requests a second; undefined as fast as they are answered. */
  readonly rate: number | undefined
  readonly awake: boolean
  readonly onBody?: (groups: RegExpExecArray) => void
}

export async function runStretch({
  port,
  connections,
  next,
  expect,
  seconds,
  rate,
  awake,
  onBody,
}: Stretch): Promise<Measured> {
  const body = new RegExp(expect.body)
  const finished = Promise.withResolvers<void>()
  const idle: Connection[] = []
  const latencies = createSeries()
  const latenesses = createSeries()
  let underWay = 0
  let answers = 0
  let isOver = false
  let lastAnswer = 0

  function check({ status, head, body: text }: Answer): RegExpExecArray {
    const groups = body.exec(text)
    if (status === expect.status && groups) return groups
    throw new Error(`a wrong answer, ${expect.status} ${expect.body} was to come:\n${head}\n\n${text.slice(0, 500)}`)
  }

  function onAnswer(answer: Answer, connection: Connection): void {
    const now = performance.now()
    const groups = check(answer)
    onBody?.(groups)
    silence = 0
    underWay -= 1
    if (!isOver) {
      latencies.add(now - connection.scheduled)
      answers += 1
      lastAnswer = now
    }
    pace.free(connection, now)
    if (isOver && underWay === 0) finished.resolve()
  }

  /** @returns whether there was something to send. */
  function send(connection: Connection, scheduled: number, now: number): boolean {
    const request = isOver ? undefined : next()
    if (!request) {
      isOver = true
      return false
    }
    connection.scheduled = scheduled
    latenesses.add(now - scheduled)
    connection.send(request)
    underWay += 1
    return true
  }

  const open = Array.from({ length: connections }, () => openConnection(port, { onAnswer, onError: finished.reject }))
  idle.push(...(await Promise.all(open)))
  const all = [...idle]
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const end = begin + seconds * 1000
  lastAnswer = begin
  const pace = rate === undefined ? asAnswered() : atRate(rate)
  pace.start()
  const timer = setTimeout(() => {
    isOver = true
    if (underWay === 0) finished.resolve()
  }, seconds * 1000)
  // Counted second by second: on a machine that stands still for a while, answers are read before it is over.
  let silence = 0
  const giveUp = setInterval(() => {
    silence += 1
    if (silence > PATIENCE) finished.reject(new Error(`${underWay} answers are missing, ${answers} have come`))
  }, 1_000)
  try {
    await finished.promise
  } finally {
    clearTimeout(timer)
    clearInterval(giveUp)
    isOver = true
    for (const connection of all) connection.close()
  }
  const took = (Math.min(lastAnswer, end) - begin) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    answers,
    seconds: took,
    latency: latencies.percentiles(),
    lateness: latenesses.percentiles(),
    generatorLoad: (user + system) / 1000 / (performance.now() - begin),
  }

  /** Each connection sends when it has its answer. */
  function asAnswered() {
    const free = (connection: Connection, now: number): void => {
      send(connection, now, now)
    }
    const stayAwake = (): void => {
      if (!isOver) setImmediate(stayAwake)
    }
    const start = (): void => {
      for (const connection of idle.splice(0)) free(connection, performance.now())
      if (awake) stayAwake()
    }
    return { start, free }
  }

  /** Requests become due at a steady pace, whatever the server does; one that finds no free connection waits for it. */
  function atRate(each: number) {
    const gap = 1000 / each
    const nap = new Int32Array(new SharedArrayBuffer(4))
    let due = begin
    const sendDue = (now: number): void => {
      for (let connection = idle.at(-1); connection && due <= now; connection = idle.at(-1)) {
        if (!send(connection, due, now)) return
        idle.pop()
        due += gap
      }
    }
    // Not timers: they are up to a millisecond late, which is longer than most answers take.
    const tick = (): void => {
      if (isOver) return
      sendDue(performance.now())
      if (!awake) Atomics.wait(nap, 0, 0, NAP)
      setImmediate(tick)
    }
    const free = (connection: Connection, now: number): void => {
      idle.push(connection)
      sendDue(now)
    }
    return { start: tick, free }
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
    percentiles(): Percentiles {
      const sorted = values.subarray(0, length).sort()
      const at = (share: number): number => sorted[Math.max(0, Math.ceil(length * share) - 1)] ?? 0
      return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    },
  }
}

/** A request that is always the same, or one with another token each time, until there is none left. */
export function createSource(
  { request, uses = 1 }: Requests,
  tokens: string[],
  connections: number,
): () => Buffer | undefined {
  if (!request.includes(TOKEN_PLACE)) {
    const bytes = Buffer.from(request)
    return () => bytes
  }
  // Tokens take turns, so that those in use at the same time differ, as those of several users do.
  const given = tokens.splice(0)
  const requests = given.map((token) => Buffer.from(fillIn(request, token)))
  let turn = 0
  return () => {
    const group = Math.floor(turn / (connections * uses))
    const found = requests[group * connections + (turn % connections)]
    turn += 1
    return found
  }
}
