import type { DatabaseSync } from 'node:sqlite'
import { createRowIndex } from './row-index.ts'

/** How many rows are read at a time. */
const PAGE = 4_096

/** Where the rows of tokens are in the file: which ones there are is for the file to say, whichever process wrote them. */
export interface TokenRows {
  /** Reads of what has been written since; before anything is looked up. */
  catchUp(): void
  /** Notes a row that the transaction under way has written. */
  add(row: number, tokenDigest: string, sessionDigest: string): void
  /** Keeps what was added once it is committed, forgets it otherwise. */
  end(isCommitted: boolean): void
  /** What the row has to say that may be meant by a digest. */
  find<Found>(digest: string, look: (row: number) => Found | undefined): Found | undefined
  /** Gives back the memory of rows that are gone. */
  tidy(): void
}

interface Added {
  readonly row: number
  readonly sessionDigest: string
}

export function createTokenRows(database: DatabaseSync): TokenRows {
  const index = createRowIndex()
  const since = database.prepare(
    `SELECT id, token_digest, session_digest FROM tokens WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
  )
  since.setReturnArrays(true)
  const anyOf = database.prepare('SELECT 1 FROM tokens WHERE id BETWEEN ? AND ? LIMIT 1')
  let last = 0
  /** By the token's digest. Only what is committed comes into the index, which forgets nothing. */
  const added = new Map<string, Added>()

  function note(row: number, tokenDigest: string, sessionDigest: string): void {
    index.add(row, tokenDigest, sessionDigest)
    last = row
  }

  return {
    catchUp() {
      for (let rows: unknown[] = since.all(last); rows.length > 0; rows = since.all(last)) {
        for (const row of rows) note(...(row as [number, string, string]))
        if (rows.length < PAGE) return
      }
    },
    add: (row, tokenDigest, sessionDigest) => void added.set(tokenDigest, { row, sessionDigest }),
    end(isCommitted) {
      if (isCommitted) for (const [tokenDigest, { row, sessionDigest }] of added) note(row, tokenDigest, sessionDigest)
      added.clear()
    },
    find(digest, look) {
      const own = added.get(digest)
      return own ? look(own.row) : index.find(digest, look)
    },
    tidy: () => index.forget((from, to) => anyOf.get(from, to) !== undefined),
  }
}
