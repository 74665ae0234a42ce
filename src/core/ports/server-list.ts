import { isIP } from 'node:net'

/** Where a server listens. */
export interface HostAndPort {
  /** A name or an address; an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
}

/** Parses `host`, `host:port` or `[IPv6]:port`, separated by commas. Returns undefined where one of them is invalid. */
export function parseServerList(text: string, defaultPort: number): HostAndPort[] | undefined {
  const servers = text.split(',').map((server) => parseServer(server, defaultPort))
  return servers.every((server) => server !== undefined) ? servers : undefined
}

function parseServer(text: string, defaultPort: number): HostAndPort | undefined {
  const [match, ipv6, name = '', digits] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]{1,5}))?$/.exec(text) ?? []
  const host = ipv6 ?? name
  const isHost = ipv6 === undefined ? /^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$/.test(name) : isIP(ipv6) === 6
  const port = Number(digits ?? defaultPort)
  return match !== undefined && isHost && port > 0 && port < 65_536 ? { host, port } : undefined
}

/** Formats a server as a URL has it. */
export function formatServer({ host, port }: HostAndPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
