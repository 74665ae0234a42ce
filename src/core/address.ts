import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** One network for all unreadable addresses, so that inventing them does not evade the guard. */
const UNREADABLE = 'unreadable'

/**
 * Returns the network that an address is counted under: an IPv4 address, or the first 64 bits of an IPv6 address,
 * because one customer usually has that many. An IPv4-mapped IPv6 address is IPv4. A port, which some proxies append,
 * is ignored.
 *
 * @param address undefined once the caller has closed the connection.
 */
export function clientNetwork(address: string | undefined): string {
  if (address === undefined) return UNREADABLE
  // Most addresses; spares the regular expressions.
  if (isIPv4(address)) return address
  const bare = /^\[([^\]]+)\](?::[0-9]+)?$/.exec(address)?.[1] ?? address.replace(/^([0-9.]+):[0-9]+$/, '$1')
  if (!ipaddr.isValid(bare)) return UNREADABLE
  const parsed = ipaddr.process(bare)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/64`)
  return `${network.toString()}/64`
}
