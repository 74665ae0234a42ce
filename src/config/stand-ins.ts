import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Configuration } from './schema.ts'

interface Finding {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

const SECTIONS = ['bws', 'idscan'] as const

/** Returns why the stand-ins of a configuration cannot be served. */
export function findStandInIssues(configuration: Configuration, isProduction: boolean): Finding[] {
  const enabled = SECTIONS.filter((name) => (configuration[name] || { standIns: false }).standIns)
  const failure = isProduction
    ? 'stand-ins in production; expected false, or no standIns'
    : configuration.control
      ? undefined
      : 'stand-ins without the control API; expected control: true'
  const issues = failure === undefined ? [] : enabled.map((name) => ({ path: [name, 'standIns'], message: failure }))
  const folder = configuration.idscan ? configuration.idscan.fixtures : undefined
  if (folder === undefined || isFolder(folder)) return issues
  return [...issues, { path: ['idscan', 'fixtures'], message: 'no such folder; expected the path of a folder' }]
}

/** Returns the section with a relative path of its fixtures resolved against a folder. */
export function resolveFixtures(idscan: Configuration['idscan'], folder: string): Configuration['idscan'] {
  return idscan && idscan.fixtures !== undefined ? { ...idscan, fixtures: resolve(folder, idscan.fixtures) } : idscan
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
