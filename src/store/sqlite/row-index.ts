/** Rows that one segment has places for. */
const SEGMENT = 65_536

/** Places for the entries of a segment: half of them stay free, so that looking seldom goes past two of them. */
const SLOTS = 4 * SEGMENT

/** 2 ** 16: an entry holds part of a hash above it, the row's place in its segment below. */
const PLACE = 0x1_0000

interface Segment {
  /** The row of place 0. */
  readonly first: number
  /** By hash: part of the hash and the row's place; 0 where there is nothing. */
  readonly entries: Uint32Array
}

/**
 * Which rows may be meant by a digest, in memory: 16 bytes for a row with two digests. It forgets nothing but whole segments, so
 * what it names has to be looked at.
 */
export interface RowIndex {
  /** Notes both digests of a row, whose number is larger than all before. */
  add(row: number, first: string, second: string): void
  /** What the first row has to say that may be meant by a digest; the latest segments come first. One in a hundred is not meant. */
  find<Found>(digest: string, look: (row: number) => Found | undefined): Found | undefined
  /** Forgets the segments that have no rows any more. */
  forget(hasRows: (first: number, last: number) => boolean): void
}

/**
 * An index in the file would have every row touch a page for each digest, as digests are random: that is five sixths of what a
 * row costs. Rows themselves come one after the other.
 */
export function createRowIndex(): RowIndex {
  /** The latest first: what is looked for was issued a moment ago, as a rule. */
  let segments: Segment[] = []

  function segmentOf(row: number): Segment {
    const first = row - (row % SEGMENT)
    const latest = segments[0]
    if (latest?.first === first) return latest
    const segment = { first, entries: new Uint32Array(SLOTS) }
    segments.unshift(segment)
    return segment
  }

  return {
    add(row, first, second) {
      const { entries } = segmentOf(row)
      addEntry(entries, hash(first), row % SEGMENT)
      addEntry(entries, hash(second), row % SEGMENT)
    },
    find(digest, look) {
      const hashed = hash(digest)
      const part = partOf(hashed)
      for (const { first, entries } of segments) {
        for (let slot = hashed % SLOTS, entry = entries[slot]; entry; entry = entries[slot]) {
          const found = entry - (entry % PLACE) === part ? look(first + (entry % PLACE)) : undefined
          if (found !== undefined) return found
          slot = (slot + 1) % SLOTS
        }
      }
      return undefined
    },
    forget(hasRows) {
      segments = segments.filter(({ first }) => hasRows(first, first + SEGMENT - 1))
    },
  }
}

function addEntry(entries: Uint32Array, hashed: number, place: number): void {
  let slot = hashed % SLOTS
  while (entries[slot]) slot = (slot + 1) % SLOTS
  entries[slot] = partOf(hashed) + place
}

/** The upper half of a hash, never 0. */
function partOf(hashed: number): number {
  return ((hashed | PLACE) & -PLACE) >>> 0
}

/** FNV-1a, 32 bits. What it is given are digests, which nobody can choose so that they meet. */
function hash(text: string): number {
  let hashed = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hashed = Math.imul(hashed ^ text.charCodeAt(at), 0x01000193)
  return hashed >>> 0
}
