import { type Stored, timeOf } from './manifest.ts'

const pattern = /^(.+)\.[0-9a-f]{8}\.db\.zst(?:\.age)?$/

/**
 * The name of the object that holds a database; its key is the prefix and this. A part of its digest is in it, so that
 * another try with other bytes never meets what an earlier one has left.
 */
export function dataName(id: string, { sha256, encryption }: Pick<Stored, 'sha256' | 'encryption'>): string {
  return `${id}.${sha256.slice(0, 8)}.db.zst${encryption === null ? '' : '.age'}`
}

/** The backup that an object of this name holds the database of; undefined: it is none of ours. */
export function idOfData(name: string): string | undefined {
  const id = pattern.exec(name)?.[1] ?? ''
  return timeOf(id) === undefined ? undefined : id
}
