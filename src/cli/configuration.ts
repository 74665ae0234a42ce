import { type ConfigIssue, formatConfigIssue } from '../config/config-issue.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { type LoadResult, loadConfiguration } from '../config/load.ts'
import { CommandError, type CommandIo } from './io.ts'

/** Returns the checked environment. Throws a CommandError that lists its issues. */
export function environmentOf({ variables }: CommandIo): Environment {
  const { environment, issues } = readEnvironment(variables)
  if (issues.length > 0) throw new CommandError(formatIssues(issues))
  return environment
}

/** Loads the configuration as the server would. Writes nothing. */
export function loadAsServer(io: CommandIo, environment: Environment): LoadResult {
  return loadConfiguration(environment, io.variables, io.clock())
}

export function formatIssues(issues: readonly ConfigIssue[]): string {
  return issues.map(formatConfigIssue).join('\n')
}
