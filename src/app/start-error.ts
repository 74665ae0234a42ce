import { type ConfigIssue, formatConfigIssue } from '../config/config-issue.ts'

/**
 * Trimint cannot start. The issues say what is wrong and what is allowed, and never contain a configured value.
 *
 * @example
 * try {
 *   await startTrimint({ configFile: 'trimint.yaml' })
 * } catch (error) {
 *   if (error instanceof StartError) console.error(error.issues)
 *   else throw error
 * }
 */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code = 'ERR_TRIMINT_START'
  readonly issues: readonly ConfigIssue[]

  constructor(issues: readonly ConfigIssue[], options?: ErrorOptions) {
    super(`trimint cannot start:\n${issues.map((issue) => `  ${formatConfigIssue(issue)}`).join('\n')}`, options)
    this.issues = issues
  }
}
