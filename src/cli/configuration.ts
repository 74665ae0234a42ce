import { type Environment, readEnvironment } from '../config/environment.ts'
import { type Fault, formatFault } from '../config/fault.ts'
import { type LoadResult, loadConfiguration } from '../config/load.ts'
import { CommandFailure, type CommandIo } from './io.ts'

export function environmentOf({ variables }: CommandIo): Environment {
  const { environment, faults } = readEnvironment(variables)
  if (faults.length > 0) throw new CommandFailure(formatFaults(faults))
  return environment
}

/** What the server itself would load. Writes nothing. */
export function loadAsServer(io: CommandIo, environment: Environment): LoadResult {
  return loadConfiguration(environment, io.variables, io.clock())
}

export function formatFaults(faults: readonly Fault[]): string {
  return faults.map(formatFault).join('\n')
}
