// The machine that figures are from, and which of its cores do what. Not a program of its own.

import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { findProgram } from '../test/support/programs.ts'

export interface Cores {
  /** Whatever is measured has this one for itself. */
  readonly server: number | undefined
  /** The load generator's; a redis-server shares it. */
  readonly generator: number | undefined
}

/** The last core that this process may use for servers, the one before for the generator; none where there are no two of them, or no taskset. */
export function chooseCores(): Cores {
  const allowed = readAllowedCores()
  const [generator, server] = allowed.slice(-2)
  if (server === undefined || findProgram('taskset') === undefined) return { server: undefined, generator: undefined }
  return { server, generator }
}

/** As Linux writes it: 0-3,6 */
function readAllowedCores(): number[] {
  let list = ''
  try {
    list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  } catch {}
  return list
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })
}

export interface Machine {
  readonly date: string
  readonly cores: number
  readonly model: string
  readonly node: string
  readonly pinning: string
}

export function describeMachine({ server, generator }: Cores): Machine {
  return {
    date: new Date().toISOString(),
    cores: cpus().length,
    model: cpus()[0]?.model.trim() ?? 'unknown',
    node: process.version,
    pinning:
      server === undefined
        ? 'no process is bound to a core: there is no taskset, or only one core'
        : `the server alone on core ${server}, the load generator (and redis-server) on core ${generator}`,
  }
}
