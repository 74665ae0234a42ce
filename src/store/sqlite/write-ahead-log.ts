import { closeSync, fdatasync, fsyncSync, openSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as endOfTurn } from 'node:timers/promises'
import { promisify } from 'node:util'

const syncData = promisify(fdatasync)

/**
 * The file that SQLite writes commits to, and the disk. With `synchronous = FULL` a commit waits for the disk itself: it holds the event
 * loop, and the lock that every other process needs, for as long as that takes. So connections have `synchronous = NORMAL`, which
 * keeps the order of what is written, and whoever commits waits for {@link sync} before anybody is told.
 */
export interface WriteAheadLog {
  /** Waits until all that was committed before, by whichever process, is on the disk. */
  sync(): Promise<void>
  /**
   * Brings over into the database itself what the log may have lost, once a {@link sync} has failed: the system reports such a loss once, and
   * then takes the rest of the log for good.
   *
   * @throws Error where that cannot be done: then nothing may be committed behind it.
   */
  rescue(database: DatabaseSync): void
  close(): void
}

/**
 * @param path of a database that is open, so that its log is there and stays.
 * @throws Error for a folder that cannot be synced.
 */
export function openWriteAheadLog(path: string): WriteAheadLog {
  // As a disk would do, it lets others have their turn.
  if (path === ':memory:') return { sync: endOfTurn, rescue: () => undefined, close: () => undefined }
  // SQLite keeps it beside the file that a link leads to.
  const file = realpathSync(path)
  syncFolder(dirname(file))
  const log = openSync(`${file}-wal`, 'r+')
  return {
    sync: () => syncData(log),
    rescue(database) {
      const { busy } = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number }
      if (busy !== 0) throw new Error('what the disk has lost cannot be written again yet')
    },
    // SQLite keeps no lock on this file, so none is lost with it.
    close: () => closeSync(log),
  }
}

/** A file that has just been made is on the disk only with the folder that names it. */
function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
