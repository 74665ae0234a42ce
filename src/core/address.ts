import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** The longest IPv6 address has 45 characters; this leaves room for brackets, a zone and a port. */
const MAX_ADDRESS_LENGTH = 100

/** One name for all unreadable addresses, so that inventing them does not evade the guard. */
const UNREADABLE = 'unreadable'

/**
 * Returns the one spelling of an address that a caller or a proxy wrote: IPv4, or IPv6 as in RFC 5952. An IPv4-mapped
 * IPv6 address is IPv4. A port, which some proxies append, and a zone are dropped. All other text is `unreadable`.
 */
export function normaliseAddress(address: string): string {
  // Most addresses; spares the regular expressions.
  if (isIPv4(address)) return address
  return parse(address)?.toString() ?? UNREADABLE
}

/**
 * Returns the network that an address is counted under: an IPv4 address, or the first 64 bits of an IPv6 address,
 * because one customer usually has that many. An address of a translator (NAT64) stands for one IPv4 address, and is
 * counted whole. Reads the address like {@link normaliseAddress}.
 *
 * @param address undefined once the caller has closed the connection.
 */
export function clientNetwork(address: string | undefined): string {
  if (address === undefined) return UNREADABLE
  if (isIPv4(address)) return address
  const parsed = parse(address)
  if (parsed === undefined) return UNREADABLE
  if (parsed.kind() === 'ipv4' || parsed.range() === 'rfc6052') return parsed.toString()
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/64`)
  return `${network.toString()}/64`
}

function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (address.length > MAX_ADDRESS_LENGTH) return undefined
  const bare = /^\[([^\]]+)\](?::[0-9]+)?$/.exec(address)?.[1] ?? address.replace(/^([0-9.]+):[0-9]+$/, '$1')
  // A zone names an interface of the machine that wrote the address.
  const [unzoned = ''] = bare.split('%')
  // isIP also rejects the spellings of IPv4 that mean other numbers to other programs, such as 010.0.0.1.
  return isIP(unzoned) === 0 ? undefined : ipaddr.process(unzoned)
}
