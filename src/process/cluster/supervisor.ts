import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../../core/clock.ts'
import { createTally } from './metrics-aggregation.ts'
import type { Announcement, Ending, Member } from './worker-handle.ts'

/** Milliseconds after which a worker that has ended is replaced at once: it was able to serve. */
const STEADY = 10_000

/** Milliseconds until one that was not is replaced: the first time, and at most. Each time it is twice as long. */
const PAUSE = { first: 1_000, most: 30_000 }

/** Milliseconds between two times that all workers are asked what they have counted, whether or not anybody wants to know, … */
const LOOK = 10_000

/** … and how often in a row one may owe its answer until it is taken for stuck. */
const MOST_MISSED = 6

export interface CrewParts {
  readonly size: number
  /** Starts one more worker. */
  readonly start: (onAsked: (member: Member, question: number) => void) => Member
  readonly logger: Logger
  readonly uptime: Clock
}

export interface Crew {
  /**
   * Starts the first worker and, once that serves, the others: so what keeps all of them from starting is told once.
   *
   * @returns what they serve, or how the first one has ended.
   */
  start(): Promise<Announcement | Ending>
  /** Has every worker read its configuration again. */
  reload(): void
  /** Has every worker end, and replaces none. Waits until all are gone; whether each has ended as it should. */
  end(signal: NodeJS.Signals | undefined): Promise<boolean>
  /** Ends at once whoever is left. */
  kill(): void
}

/** Keeps as many workers as there are to be. */
export function createCrew({ size, start, logger, uptime }: CrewParts): Crew {
  const members = new Set<Member>()
  /** Those that may have read their configuration before the last reload. */
  const outdated = new Set<Member>()
  const tally = createTally()
  let isEnding = false

  const membersUp = (): Member[] => [...members].filter((member) => member.isUp())

  function launch(): Member {
    const member = start(answerTotal)
    members.add(member)
    member.up.then((announcement) => {
      if (outdated.delete(member)) member.tell({ order: 'reload' })
      if (announcement) watch(member)
    })
    member.ended.then(() => {
      members.delete(member)
      outdated.delete(member)
      tally.retire(member.snapshot())
    })
    return member
  }

  /** Replaces a worker whenever it ends. */
  async function keep(member: Member): Promise<void> {
    let pause = 0
    for (let current = member; ; current = launch()) {
      const startedAt = uptime()
      const { code, signal } = await current.ended
      if (isEnding) return
      const isSteady = uptime() - startedAt >= STEADY
      pause = isSteady ? 0 : Math.min(PAUSE.most, Math.max(PAUSE.first, 2 * pause))
      logger.error({ event: 'worker.ended', worker: current.id, code, signal, pause })
      await sleep(pause)
      if (isEnding) return
    }
  }

  async function answerTotal(asker: Member, question: number): Promise<void> {
    await Promise.all(membersUp().map((member) => member.count()))
    const text = await tally.format([...members].map((member) => member.snapshot()))
    asker.tell({ order: 'total', question, text })
  }

  /** Nobody else sees one that is stuck: connections go to those that take them, and so do questions after health. */
  function watch(member: Member): void {
    let missed = 0
    const look = setInterval(async () => {
      missed = (await member.count()) ? 0 : missed + 1
      if (missed < MOST_MISSED || isEnding) return
      logger.error({ event: 'worker.stuck', worker: member.id })
      member.kill()
    }, LOOK)
    member.ended.then(() => clearInterval(look))
  }

  return {
    async start() {
      const first = launch()
      const announcement = await first.up
      if (!announcement || isEnding) return first.ended
      const others = Array.from({ length: size - 1 }, launch)
      for (const member of [first, ...others]) void keep(member)
      await Promise.all(others.map(({ up }) => up))
      return announcement
    },
    reload() {
      for (const member of members) {
        if (member.isUp()) member.tell({ order: 'reload' })
        else outdated.add(member)
      }
    },
    async end(signal) {
      isEnding = true
      const all = [...members]
      const told = membersUp()
      for (const member of all) {
        if (told.includes(member)) member.tell({ order: 'end', signal })
        else member.kill()
      }
      await Promise.all(all.map(({ closed }) => closed))
      const endings = await Promise.all(told.map(({ ended }) => ended))
      return endings.every(({ code }) => code === 0)
    },
    kill() {
      for (const member of members) member.kill()
    },
  }
}
