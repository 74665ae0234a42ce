import { type Environment, readEnvironment } from '../config/environment.ts'
import { type Fault, formatFault } from '../config/fault.ts'
import { type LoadResult, loadConfiguration } from '../config/load.ts'
import { CommandFailure, type CommandIo } from './io.ts'

export function environmentOf({ variables }: CommandIo): Environment {
  const read = readEnvironment(variables)
  if ('faults' in read) throw new CommandFailure(formatFaults(read.faults))
  return read.environment
}

/** What the server itself would load. */
export function loadAsServer(io: CommandIo, environment: Environment): LoadResult {
  return loadConfiguration(environment, io.variables, io.randomness, io.clock())
}

export function formatFaults(faults: readonly Fault[]): string {
  return faults.map(formatFault).join('\n')
}
