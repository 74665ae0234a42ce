import type { Clock } from '../../core/clock.ts'

/** Runs a job at an interval; returns a function that stops it. */
export type Repeat = (intervalMs: number, job: () => Promise<void>) => () => void

export interface Timers {
  readonly repeat: Repeat
  /** Runs every job whose interval has passed on the clock since it last ran. */
  runDue(): Promise<void>
}

interface Job {
  readonly intervalMs: number
  /** Resolves when the run in progress and one more have finished. */
  runAgain(): Promise<void>
  /** By the clock that can be set. */
  ranAt: number
}

/** Creates timers that run in real time, and when the clock is set ahead. */
export function createTimers(clock: Clock): Timers {
  const jobs = new Set<Job>()

  return {
    repeat(intervalMs, run) {
      let running: Promise<void> = Promise.resolve()
      const job: Job = {
        intervalMs,
        ranAt: clock(),
        async runAgain() {
          await running
          await start()
        },
      }
      function start(): Promise<void> {
        job.ranAt = clock()
        running = run()
        return running
      }
      const timer = setInterval(start, intervalMs)
      jobs.add(job)
      return () => {
        clearInterval(timer)
        jobs.delete(job)
      }
    },
    async runDue() {
      const now = clock()
      const due = [...jobs].filter((job) => now >= job.ranAt + job.intervalMs)
      // A clock that was set back must not delay the next run.
      for (const job of jobs) job.ranAt = Math.min(job.ranAt, now)
      await Promise.all(due.map((job) => job.runAgain()))
    },
  }
}
