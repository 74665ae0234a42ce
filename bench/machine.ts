// The cores of this machine, and its description beside the figures.

import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { findProgram } from '../test/support/programs.ts'

export interface Cores {
  /** Runs the measured server and nothing else. */
  readonly server: number | undefined
  /** Runs the load generator, and redis-server where there is one. */
  readonly generator: number | undefined
}

/** Lets the system choose the core of every process. */
export const UNBOUND: Cores = { server: undefined, generator: undefined }

/**
 * Returns the last two cores that this process may use; {@link UNBOUND} with fewer than two cores or without taskset.
 */
export async function chooseCores(): Promise<Cores> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? ''
  const [generator, server] = parseCoreList(list).slice(-2)
  if (server === undefined || findProgram('taskset') === undefined) return UNBOUND
  return { server, generator }
}

/** Parses Linux's notation, such as 0-3,6. */
function parseCoreList(list: string): number[] {
  return list
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })
}

export function describeMachine({ server, generator }: Cores): string {
  const binding =
    server === undefined ? 'processes not bound to cores' : `server on core ${server}, load generator on ${generator}`
  return `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}, ${binding}`
}
