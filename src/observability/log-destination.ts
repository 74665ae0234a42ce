import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pino, { type DestinationStream } from 'pino'

const MAX_BUFFERED_BYTES = 16 * 1024 * 1024

export interface LogOptions {
  /** Lines beyond this are dropped and counted while the reader of the log does not keep up. 16 MiB by default. */
  readonly maxBufferedBytes?: number
  /** Called for each error of writing. */
  readonly onError?: (error: Error) => void
  /** Called for each line that is dropped. */
  readonly onDrop?: () => void
}

export interface LogDestination extends DestinationStream {
  on(event: 'drain' | 'error', listener: () => void): unknown
  off(event: 'drain' | 'error', listener: () => void): unknown
  /** Returns false when the buffer is full until `drain`. */
  write(lines: string): boolean
  /** Writes the buffered lines, or gives up after a time. */
  close(timeoutMs: number): Promise<void>
  /** Discards the buffered lines, so that the process can end at once. */
  abandon(): void
}

/**
 * Opens a log on a file descriptor. Lines are written in the background: synchronous writes cost a busy server up to a
 * third of its throughput. A full disk or a reader that has stopped costs lines, never requests.
 */
export function openLog(fd: number, options: LogOptions = {}): LogDestination {
  const { onError, onDrop, maxBufferedBytes = MAX_BUFFERED_BYTES } = options
  const destination = pino.destination({ fd, sync: false, maxLength: maxBufferedBytes })
  destination.on('error', (error: Error) => onError?.(error))
  destination.on('drop', () => onDrop?.())
  return {
    on: (event, listener) => destination.on(event, listener),
    off: (event, listener) => destination.off(event, listener),
    write: (lines) => destination.write(lines),
    async close(timeoutMs) {
      const deadline = new AbortController()
      const closed = once(destination, 'close', { signal: deadline.signal })
      destination.end()
      await Promise.race([closed, sleep(timeoutMs, undefined, { signal: deadline.signal })]).catch(() => undefined)
      deadline.abort()
      closed.catch(() => undefined)
      destination.destroy()
    },
    abandon: () => destination.destroy(),
  }
}
