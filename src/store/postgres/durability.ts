import type { Statement } from './connection.ts'
import type { Primary } from './primary.ts'

const READ_SETTINGS: Statement = {
  name: 'read-settings',
  text: "SELECT current_setting('synchronous_standby_names') AS standbys, current_setting('fsync') AS fsync",
}

/** Returns a sentence for each setting of the server with which it can lose acknowledged writes. */
export async function findDurabilityWarnings({ run }: Pick<Primary, 'run'>): Promise<string[]> {
  const [settings] = await run(READ_SETTINGS, [])
  const warnings: string[] = []
  if (settings?.standbys === '') warnings.push('synchronous_standby_names is empty: a fail-over loses the last writes')
  if (settings?.fsync !== 'on') warnings.push('fsync is off: a crash of the machine can destroy the database')
  return warnings
}
