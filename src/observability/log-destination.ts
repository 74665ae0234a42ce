import pino, { type DestinationStream } from 'pino'

export interface LogDestination extends DestinationStream {
  /** Writes what has not been written, at once: before the end of the process. */
  flushSync(): void
}

/**
 * Writes lines to a file descriptor, beside the requests that they are about: one that is written at once costs a busy server up to
 * a third of its throughput. What one turn of the event loop has to say goes there in one piece, since pino's writer looks
 * through all that is waiting with each piece that it gets.
 */
export function openLog(fd: number): LogDestination {
  const writer = pino.destination({ fd, sync: false })
  let lines = ''
  const hand = (): void => {
    const gathered = lines
    lines = ''
    if (gathered !== '') writer.write(gathered)
  }
  return {
    write(line) {
      if (lines === '') setImmediate(hand)
      lines += line
    },
    flushSync() {
      writer.flushSync()
      // Not by the writer: it would only begin to write them, and the end of the process would come first.
      if (lines !== '') pino.destination({ fd, sync: true }).write(lines)
      lines = ''
    },
  }
}
