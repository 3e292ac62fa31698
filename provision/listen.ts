import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** RFC 1918, RFC 6598 (which overlay networks take), RFC 3927, RFC 4193 and RFC 4291. */
const privateNetworks = new BlockList()
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
] as const)
  privateNetworks.addSubnet(network, prefix)
privateNetworks.addSubnet('fc00::', 7, 'ipv6')
privateNetworks.addSubnet('fe80::', 10, 'ipv6')

/** Where a daemon listens. */
export type Listen = { address: string; port: number; isLoopback: boolean; isPrivate: boolean }

/** Reads `127.0.0.1:9090` or `[fd00::7]:9090`; undefined for what is no such address. */
export function parseListen(text: string): Listen | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? []
  const address = bracketed ?? plain ?? ''
  const port = Number(digits)
  const version = isIP(address)
  if (version !== (bracketed === undefined ? 4 : 6) || !(port > 0 && port < 65_536)) return undefined
  const family = version === 6 ? 'ipv6' : 'ipv4'
  const isLoopback = loopback.check(address, family)
  return { address, port, isLoopback, isPrivate: isLoopback || privateNetworks.check(address, family) }
}
