import type { FaultContract } from './faults/schema.ts'

/** Below this path is the control API. */
export const CONTROL_PATH = '/_trimint'

const EXEMPT = /^\/(?:_trimint|healthz|readyz|metrics)(?![^/?])/

/** Tells whether a URL is outside faults and journal: the control API, health and metrics (L9). */
export function isExempt(url: string): boolean {
  return EXEMPT.test(url)
}

const CONTRACT_PATHS = [
  [/^(?:\/extension)?\/token(?:\/|$)/, 'bws'],
  [/^(?:\/extension)?\/(?:upload|verify|enroll|identify|livenessdetection|result)(?:[/?]|$)/, 'bws'],
  [/^\/authz\/bws\//, 'bws'],
  [/^\/idscanenterprisesvc\//i, 'idscan'],
  [/^\/authz\/idscan\//, 'idscan'],
  [/^\/nevisfido\//, 'nevisfido'],
  [/^\/(?:introspect|revoke)$/, 'service'],
] as const

/** Returns the contract that serves a URL. */
export function contractOf(url: string): FaultContract | undefined {
  const path = pathOf(url)
  return CONTRACT_PATHS.find(([pattern]) => pattern.test(path))?.[1]
}

/** Returns the path of a URL, without its query. */
export function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}
