import ipaddr from 'ipaddr.js'

/**
 * What one caller is taken to be: an IPv4 address, or an IPv6 network of 64 bits, since a single customer has that many
 * addresses to come from. IPv4 inside IPv6 is IPv4.
 */
export function callerNetwork(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/64`)
  return `${network.toString()}/64`
}
