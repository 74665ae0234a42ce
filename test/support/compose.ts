import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parse } from 'yaml'

/** The parts of a service in docker-compose.yml that tests check. */
export interface ComposeService {
  readonly profiles?: readonly string[]
  readonly image?: string
  readonly build?: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly networks?: readonly string[] | Readonly<Record<string, { readonly ipv4_address?: string }>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: unknown
  readonly stop_grace_period?: string
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
}

export interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>
  readonly volumes: Readonly<Record<string, null>>
}

export async function readCompose(): Promise<Compose> {
  const text = await readFile(resolve(import.meta.dirname, '../../docker-compose.yml'), 'utf8')
  // Docker Compose also resolves `<<` merge keys.
  return parse(text, { merge: true }) as Compose
}
