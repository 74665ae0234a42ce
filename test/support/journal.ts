import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'

const logs = (): string => join(inject('journal'), 'logs.ndjson')
const secrets = (): string => join(inject('journal'), 'secrets.ndjson')

/** Everything that a service under test has logged goes here, at level trace. */
export function writeLog(text: string): void {
  appendFileSync(logs(), text)
}

/** A secret or token that a test has used, and that no log may hold. */
export function noteSecret(secret: string): void {
  appendFileSync(secrets(), `${JSON.stringify(secret)}\n`)
}

export function readJournal(): { log: string; secrets: ReadonlySet<string> } {
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  const noted = read(secrets()).split('\n').filter(Boolean)
  return { log: read(logs()), secrets: new Set(noted.map((line) => JSON.parse(line) as string)) }
}
