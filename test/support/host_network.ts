import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

export type HostNetwork = {
  address: string
  gateway: string
  link(state: 'up' | 'down'): void
  /** Others of these networks can be reached from it, and it from them, by way of this machine. */
  open(): void
  leave(): void
}

/**
 * Gives the network namespace of a process an address of its own, 10.99.N.2. The name of the link is what two tests
 * that run at once cannot both have.
 */
export function joinNetwork(pid: number): HostNetwork {
  const n = claimLink(pid)
  const link = linkName(n)
  const [gateway, address] = [`10.99.${n}.1`, `10.99.${n}.2`]
  const inside = (...args: string[]) =>
    execFileSync('nsenter', ['--target', `${pid}`, '--net', 'ip', ...args])
  execFileSync('ip', ['addr', 'add', `${gateway}/24`, 'dev', link])
  execFileSync('ip', ['link', 'set', link, 'up'])
  inside('addr', 'add', `${address}/24`, 'dev', 'eth0')
  inside('link', 'set', 'eth0', 'up')
  inside('link', 'set', 'lo', 'up')
  return {
    address,
    gateway,
    link: state => void execFileSync('ip', ['link', 'set', link, state]),
    open() {
      inside('route', 'add', 'default', 'via', gateway)
      writeFileSync(`/proc/sys/net/ipv4/conf/${link}/forwarding`, '1')
    },
    // it may be gone already, with the host
    leave: () => void spawnSync('ip', ['link', 'del', link]),
  }
}

function claimLink(pid: number): number {
  const start = Math.floor(Math.random() * 254)
  let said = ''
  for (let i = 0; i < 254; i++) {
    const n = 1 + ((start + i) % 254)
    const peer = ['peer', 'name', 'eth0', 'netns', `${pid}`]
    const { status, stderr } = spawnSync('ip', ['link', 'add', linkName(n), 'type', 'veth', ...peer])
    if (status === 0) return n
    said = String(stderr)
    if (!said.includes('File exists')) break
  }
  throw new Error(`No link to a host could be made: ${said}`)
}

function linkName(n: number): string {
  return `candlekeep${n}`
}
