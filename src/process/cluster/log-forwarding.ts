import type { Readable } from 'node:stream'

/** Milliseconds for which lines are gathered: to hand them on costs much the same, however many they are. */
const GATHERED_FOR = 20

const LINE_FEED = 0x0a

/** Where lines go: a SonicBoom, such as pino's destinations are. */
export interface LineDestination {
  /** False when it would rather have no more until `drain`. */
  write(lines: string): boolean
  on(event: 'drain' | 'error', listener: () => void): unknown
  off(event: 'drain' | 'error', listener: () => void): unknown
}

/**
 * Hands on what comes, in whole lines: so lines of several writers stay whole, whatever their destination is. Written to a pipe by several
 * processes they would not: it mixes what is longer than 4 KiB, or comes when it is full.
 */
export function handOnLines(from: Readable, to: LineDestination): void {
  let begun: Buffer = Buffer.alloc(0)
  let isGathering = false
  let isFull = false

  function gather(): void {
    if (isGathering || isFull) return
    isGathering = true
    setTimeout(handOn, GATHERED_FOR)
  }

  function handOn(): void {
    isGathering = false
    const pieces = [begun]
    // Only one that has come to nothing is told of more.
    for (let piece = from.read(); piece !== null; piece = from.read()) pieces.push(piece)
    const bytes = Buffer.concat(pieces)
    const end = bytes.lastIndexOf(LINE_FEED) + 1
    begun = bytes.subarray(end)
    // One whose reader has gone takes everything, and says nothing.
    if (end > 0) isFull = to.write(bytes.toString('utf8', 0, end)) === false
  }

  function goOn(): void {
    if (!isFull) return
    isFull = false
    gather()
  }

  from.on('readable', gather)
  to.on('drain', goOn)
  to.on('error', goOn)
  from.once('end', () => {
    to.off('drain', goOn)
    to.off('error', goOn)
    // Of a process that died while it wrote: nothing of others is to follow it on its line.
    if (begun.length > 0) to.write(`${begun.toString()}\n`)
  })
}
