import { formatConfigIssue } from '../config/config-issue.ts'
import type { Configuration } from '../config/schema.ts'
import { redactStoreUrl } from '../config/store-url.ts'
import { environmentOf, formatIssues, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'

/** Prints every issue that a start would report, or a summary of the configuration. */
export function checkConfig(io: CommandIo, file: string | undefined): void {
  const environment = environmentOf(io)
  const loaded = loadAsServer(io, file ? { ...environment, TRIMINT_CONFIG: file } : environment)
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  for (const warning of loaded.warnings) io.stderr.write(`warning: ${formatConfigIssue(warning)}\n`)
  io.stdout.write(`${loaded.file ?? 'built-in demo'}: good\n${summarise(loaded.configuration)}`)
}

function summarise({ bws, idscan, nevisfido, keys, resourceServers, store }: Configuration): string {
  const rows = {
    keys: keys.length,
    bws: bws ? `${bws.apps.length} apps` : 'off',
    idscan: idscan ? `${idscan.accounts.length} accounts` : 'off',
    nevisfido: nevisfido ? `${nevisfido.clients.length} clients` : 'off',
    'resource servers': resourceServers.length,
    store: redactStoreUrl(store),
  }
  return Object.entries(rows)
    .map(([name, value]) => `  ${name}: ${value}\n`)
    .join('')
}
