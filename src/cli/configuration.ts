import { type ConfigIssue, formatConfigIssue } from '../config/config-issue.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { type LoadResult, loadConfiguration } from '../config/load.ts'
import { CommandError, type CommandIo } from './io.ts'

export function environmentOf({ variables }: CommandIo): Environment {
  const { environment, issues } = readEnvironment(variables)
  if (issues.length > 0) throw new CommandError(formatFaults(issues))
  return environment
}

/** What the server itself would load. Writes nothing. */
export function loadAsServer(io: CommandIo, environment: Environment): LoadResult {
  return loadConfiguration(environment, io.variables, io.clock())
}

export function formatFaults(faults: readonly ConfigIssue[]): string {
  return faults.map(formatConfigIssue).join('\n')
}
