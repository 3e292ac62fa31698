import { dirname, resolve } from 'node:path'
import type { ValidateFunction } from 'ajv'
import { readJson } from '../scripts/job/config.ts'
import { describeProblems, formatProblem } from '../scripts/job/config_problems.ts'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { nearest } from '../scripts/job/nearest.ts'
import { type Address, parseAddress } from './address.ts'
import type { Inventory } from './inventory_types.ts'
import { validate as generatedValidator } from './inventory_validator.ts'

/** A host of the inventory. */
type InventoryHost = {
  name: string
  address: Address
  /** Parts of a cheat sheet, each over the ones before: the inventory's, the groups', its own. */
  vars: { from: string; vars: object }[]
}

export type Hosts = {
  hosts: InventoryHost[]
  secrets: Inventory['secrets']
  /** The folder that files of secrets are relative to. */
  folder: string
}

const isInventory = generatedValidator as unknown as ValidateFunction<Inventory>

/** Reads an inventory and checks all of it. Throws a UserError, exit status 78. */
export function loadInventory(file: string): Hosts {
  const path = resolve(file)
  const inventory = readJson(
    path,
    'inventory',
    'conf/inventory.example.json shows one; --host USER@HOST does without.',
  )
  if (!isInventory(inventory)) {
    const problems = describeProblems(isInventory.errors ?? []).map(problem => `  ${formatProblem(problem)}`)
    throw refused(`${path} is not valid:\n${problems.join('\n')}`)
  }
  const hosts = Object.entries(inventory.hosts).map(([name, { address, groups, vars }]) => ({
    name,
    address: addressOf(address ?? name, `${path}: hosts.${name}.address`),
    vars: [
      { from: 'vars', vars: inventory.vars },
      ...groups.map(group => ({
        from: `groups.${group}.vars`,
        vars: groupOf(inventory, group, `${path}: hosts.${name}.groups`).vars,
      })),
      { from: `hosts.${name}.vars`, vars },
    ],
  }))
  if (hosts.length === 0) throw refused(`${path} has no hosts`)
  return { hosts, secrets: inventory.secrets, folder: dirname(path) }
}

/** The hosts that `--limit` names: names with `*` and `?`, separated by commas; `!` before one leaves it out. */
export function limitHosts<H extends { name: string }>(hosts: H[], limit: string | undefined): H[] {
  if (limit === undefined) return hosts
  const patterns = limit.split(',').filter(pattern => pattern !== '')
  const chosen = new Set<H>()
  const positive = patterns.some(pattern => !pattern.startsWith('!')) ? patterns : ['*', ...patterns]
  for (const pattern of positive) {
    const matches = globOf(pattern.replace(/^!/, ''))
    const found = hosts.filter(({ name }) => matches.test(name))
    if (found.length === 0) throw noSuchHost(pattern, hosts)
    for (const host of found) {
      if (pattern.startsWith('!')) chosen.delete(host)
      else chosen.add(host)
    }
  }
  if (chosen.size === 0) throw new UserError(`--limit ${limit} leaves no host`, { status: exitStatus.usage })
  return hosts.filter(host => chosen.has(host))
}

function globOf(pattern: string): RegExp {
  const text = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
  return new RegExp(`^${text.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}

function noSuchHost(pattern: string, hosts: { name: string }[]): UserError {
  const names = hosts.map(({ name }) => name)
  const near = nearest(pattern, names)
  return new UserError(`--limit ${pattern}: the inventory has no such host`, {
    hint: near === undefined ? `It has ${names.join(', ')}.` : `Did you mean ${near}?`,
    status: exitStatus.usage,
  })
}

function addressOf(text: string, where: string): Address {
  try {
    return parseAddress(text)
  } catch (error) {
    if (error instanceof UserError) throw refused(`${where}: ${error.message}`, error.hint)
    throw error
  }
}

function groupOf({ groups }: Inventory, name: string, where: string): Inventory['groups'][string] {
  const group = Object.hasOwn(groups, name) ? groups[name] : undefined
  if (group !== undefined) return group
  const near = nearest(name, Object.keys(groups))
  throw refused(
    `${where}: there is no group ${JSON.stringify(name)}`,
    near === undefined ? 'Groups stand under "groups".' : `Did you mean ${JSON.stringify(near)}?`,
  )
}

function refused(message: string, hint?: string): UserError {
  return new UserError(message, { hint, status: exitStatus.configuration })
}
