import closeWithGrace from 'close-with-grace'
import pino from 'pino'
import { systemClock, systemUptime } from '../../app/system-clock.ts'
import { readEnvironment } from '../../config/environment.ts'
import { createLogger } from '../../observability/logger.ts'
import { onHangup } from '../signals.ts'
import { createCrew } from './supervisor.ts'
import { prepareMembers, startMember } from './worker-handle.ts'

// What WORKERS starts: it serves nothing itself, hands connections to its workers, writes what they log, and takes the operator's signals.

/** Milliseconds: longer than a worker takes at most (process.ts), so that each ends by itself where it can. */
const LAST_RESORT = 9_000

const { environment } = readEnvironment(process.env)
const { WORKERS, DRAIN_TIMEOUT, LOG_LEVEL } = environment

const destination = pino.destination({ fd: process.stdout.fd, sync: false })
// Each worker may be waiting for it.
destination.setMaxListeners(0)
const logger = createLogger(LOG_LEVEL, systemClock, destination)

prepareMembers()
const crew = createCrew({
  size: WORKERS,
  // Counted once: all are to know the same number.
  start: (onAsked) => startMember({ WORKERS: String(WORKERS) }, destination, onAsked),
  logger,
  uptime: systemUptime,
})

// However this ends: one that is stuck would not notice that its parent is gone.
process.once('exit', () => crew.kill())

let isEnding = false
closeWithGrace({ delay: DRAIN_TIMEOUT + LAST_RESORT, logger: false, skip: ['SIGHUP'] }, async ({ signal, err }) => {
  isEnding = true
  if (err) logger.fatal({ event: 'server.failed', err })
  const isOrderly = await crew.end(signal)
  destination.flushSync()
  if (!isOrderly) throw new Error('a worker did not end as it should')
})

const started = await crew.start()
// Of one that is told to end meanwhile, there is nothing more to say.
if (!isEnding) {
  if ('code' in started) {
    // It has said why.
    destination.flushSync()
    process.exit(started.code ?? 1)
  }
  logger.info({ event: 'server.listening', ...started.listening, workers: WORKERS })
  if (started.banner !== undefined) process.stderr.write(started.banner)
  onHangup(() => crew.reload())
}
