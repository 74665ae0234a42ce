import { expect, test } from 'vitest'
import { clientNetwork, normaliseAddress } from '../../../src/core/address.ts'

/** As long as an address may be, by its zone. */
const LONG = `2001:db8::1%${'z'.repeat(88)}`

test.each([
  ['IPv4', '10.0.0.1', '10.0.0.1', '10.0.0.1'],
  ['IPv4 with a port', '10.0.0.1:443', '10.0.0.1', '10.0.0.1'],
  ['IPv6 in another spelling', '2001:DB8:0:0::1', '2001:db8::1', '2001:db8::/64'],
  ['IPv6 in brackets', '[2001:db8::1]', '2001:db8::1', '2001:db8::/64'],
  ['IPv6 with a port', '[2001:db8::1]:443', '2001:db8::1', '2001:db8::/64'],
  ['IPv6 with a zone', 'fe80::1%eth0', 'fe80::1', 'fe80::/64'],
  ['IPv6 with a zone, as long as text may be', LONG, '2001:db8::1', '2001:db8::/64'],
  ['IPv4 in IPv6', '::ffff:10.0.0.1', '10.0.0.1', '10.0.0.1'],
  ['NAT64', '64:ff9b::a00:1', '64:ff9b::a00:1', '64:ff9b::a00:1'],
])('reads %s: %s', (_, text, address, network) => {
  expect(normaliseAddress(text)).toBe(address)
  expect(clientNetwork(text)).toBe(network)
})

test.each(['', 'unix:', '010.0.0.1', '10.0.0.1:', '[::1', '::1]:443', `${LONG}z`, '10.0.0.1:443:443', '%eth0'])(
  'gives all other text one name: %j',
  (text) => {
    expect(normaliseAddress(text)).toBe('unreadable')
    expect(clientNetwork(text)).toBe('unreadable')
  },
)

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::ffff:c000:207', '192.0.2.7'],
  ['010.0.0.1', 'unreadable'],
  ['0x7f.1', 'unreadable'],
  [`2001:db8::1%${'z'.repeat(100)}`, 'unreadable'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2:ffff::1', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['::1', '::/64'],
  ['203.0.113.9:5001', '203.0.113.9'],
  ['[2001:db8::1]:443', '2001:db8::/64'],
  ['[2001:db8::1]', '2001:db8::/64'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
  ['x[2001:db8::1]:443', 'unreadable'],
  ['[2001:db8::1]:443x', 'unreadable'],
  ['not an address', 'unreadable'],
  ['everywhere', 'unreadable'],
  ['', 'unreadable'],
  // A translator of IPv4 addresses (RFC 6052, RFC 8215): all of its callers share the first 64 bits.
  ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ['64:ff9b::192.0.2.2', '64:ff9b::c000:202'],
  ['64:ff9b:1:fffe::192.0.2.1', '64:ff9b:1:fffe::c000:201'],
  // After the caller has closed the connection.
  [undefined, 'unreadable'],
])('counts the address %s as %s', (address, network) => {
  expect(clientNetwork(address)).toBe(network)
})
