import { BlockList, isIP } from 'node:net';

/**
 * IPv4 networks that are not the public internet (RFC 6890 and the IANA special-purpose registry), and one address that
 * is public by its number, but where each Azure host answers itself.
 */
const privateNetworks = `
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
  192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
  168.63.129.16/32`;

const privateV4 = new BlockList();
const mappedV4 = new BlockList();
const globalV6 = new BlockList();
const privateV6 = new BlockList();

mappedV4.addSubnet('::ffff:0:0', 96, 'ipv6');
// What is not global unicast is unspecified, loopback, unique local, link-local, multicast or unassigned.
globalV6.addSubnet('2000::', 3, 'ipv6');
globalV6.addSubnet('64:ff9b::', 96, 'ipv6');
for (const network of privateNetworks.trim().split(/\s+/)) {
  const [address = '', prefix] = network.split('/');
  privateV4.addSubnet(address, Number(prefix), 'ipv4');
  privateV6.addSubnet(`64:ff9b::${address}`, 96 + Number(prefix), 'ipv6');
}
// IETF protocols with Teredo, documentation, and 6to4, whose relays are gone and which may hold any IPv4 address.
privateV6.addSubnet('2001::', 23, 'ipv6');
privateV6.addSubnet('2001:db8::', 32, 'ipv6');
privateV6.addSubnet('2002::', 16, 'ipv6');
privateV6.addSubnet('3fff::', 20, 'ipv6');

/**
 * Whether an address, in any of its spellings, is on the public internet. IPv6 addresses that stand for an IPv4 one
 * count as that. False for what is no IP address.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !privateV4.check(address, 'ipv4');
  if (mappedV4.check(address, 'ipv6')) return !privateV4.check(address, 'ipv6');
  return globalV6.check(address, 'ipv6') && !privateV6.check(address, 'ipv6');
}
