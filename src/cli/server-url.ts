import type { Environment } from '../config/environment.ts'

/** Returns the address of the server with this environment: a wildcard address can only be listened on. */
export function authorityOf({ HOST, PORT }: Environment): string {
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[HOST] ?? HOST
  return `${host.includes(':') ? `[${host}]` : host}:${PORT}`
}
