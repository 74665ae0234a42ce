import { systemClock } from '../../src/app/system-clock.ts'
import { systemRandomness } from '../../src/app/system-randomness.ts'
import { createProgram } from '../../src/cli/program.ts'
import { renderAuditPage } from './audit-page.ts'
import { renderCliPage } from './cli-page.ts'
import { renderConfigurationPage } from './configuration-page.ts'

/** Returns the generated pages by the path of their file. No command runs while they are made. */
export function renderPages(): ReadonlyMap<string, string> {
  const { stdin, stdout, stderr } = process
  const environment = { variables: {}, clock: systemClock, randomness: systemRandomness }
  const io = { stdin, stdout, stderr, ...environment, serve: async () => undefined }
  return new Map([
    ['docs/audit.md', renderAuditPage()],
    ['docs/configuration.md', renderConfigurationPage()],
    ['docs/cli.md', renderCliPage(createProgram(io))],
  ])
}
