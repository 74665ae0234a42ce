import type { Readable } from 'node:stream'

/** Forwarding costs about the same for one line as for many. */
const GATHER_MS = 20

const LINE_FEED = 0x0a

export interface LineDestination {
  /** Returns false when the buffer is full until `drain`. */
  write(lines: string): boolean
  on(event: 'drain' | 'error', listener: () => void): unknown
  off(event: 'drain' | 'error', listener: () => void): unknown
}

/**
 * Forwards a log in whole lines, so that lines of several processes do not mix: a pipe splits writes of more than 4 KiB
 * (PIPE_BUF). Reads nothing while the destination is full, which lets the writer of the log drop lines.
 */
export function forwardLines(from: Readable, to: LineDestination): void {
  let incomplete: Buffer = Buffer.alloc(0)
  let isGathering = false
  let isFull = false

  function gather(): void {
    if (isGathering || isFull) return
    isGathering = true
    setTimeout(forward, GATHER_MS)
  }

  function forward(): void {
    isGathering = false
    const chunks = [incomplete]
    // 'readable' is emitted again only after read() has returned null.
    for (let chunk = from.read(); chunk !== null; chunk = from.read()) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const end = bytes.lastIndexOf(LINE_FEED) + 1
    incomplete = bytes.subarray(end)
    // pino's destination returns undefined after EPIPE: it accepts everything and discards it.
    if (end > 0) isFull = to.write(bytes.toString('utf8', 0, end)) === false
  }

  function resume(): void {
    if (!isFull) return
    isFull = false
    gather()
  }

  from.on('readable', gather)
  to.on('drain', resume)
  to.on('error', resume)
  from.once('end', () => {
    to.off('drain', resume)
    to.off('error', resume)
    // A process that was killed leaves part of a line. The next line must not continue it.
    if (incomplete.length > 0) to.write(`${incomplete.toString()}\n`)
  })
}
