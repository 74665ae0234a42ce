import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** What every address that cannot be read counts as: together, so that inventing one is no way out. */
const UNREADABLE = 'unreadable'

/**
 * What one caller is taken to be: an IPv4 address, or an IPv6 network of 64 bits, since a single customer has that many
 * addresses to come from. IPv4 inside IPv6 is IPv4, and a port, as some proxies add one, says nothing of who it is.
 *
 * @param address undefined of a caller who has gone: the connection does not know it any more.
 */
export function clientNetwork(address: string | undefined): string {
  if (address === undefined) return UNREADABLE
  // As most come, and as they are written below.
  if (isIPv4(address)) return address
  const bare = /^\[([^\]]+)\](?::[0-9]+)?$/.exec(address)?.[1] ?? address.replace(/^([0-9.]+):[0-9]+$/, '$1')
  if (!ipaddr.isValid(bare)) return UNREADABLE
  const parsed = ipaddr.process(bare)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/64`)
  return `${network.toString()}/64`
}
