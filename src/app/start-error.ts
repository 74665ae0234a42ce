import { type ConfigIssue, formatConfigIssue } from '../config/config-issue.ts'

/** Trimint cannot start. The issues say what is wrong and what is allowed, and never contain a configured value. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code = 'ERR_TRIMINT_START'
  readonly issues: readonly ConfigIssue[]

  constructor(issues: readonly ConfigIssue[], options?: ErrorOptions) {
    super(`trimint cannot start:\n${issues.map((issue) => `  ${formatConfigIssue(issue)}`).join('\n')}`, options)
    this.issues = issues
  }
}
