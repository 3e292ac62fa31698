import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { codeOf } from './errors.ts'

/**
 * A value that must never reach a log, a message or a history row. It prints as `[secret]` however it is printed;
 * only `reveal()` gives it out, at the place where it is sent.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}

/** A secret that is there, is not there, or is there but must not be used as it is. */
export type FoundSecret = { secret?: Secret; problem?: string }

/**
 * The secret of the environment variable `name`, or of the file that `name_FILE` names. Such a file has to be one
 * that only its owner can read: a secret that others can read is none, and is refused.
 */
export function readSecret(name: string): FoundSecret {
  const value = process.env[name]
  if (value !== undefined && value !== '') return { secret: new Secret(value) }
  const file = process.env[`${name}_FILE`]
  if (file === undefined || file === '') return {}
  try {
    return readPrivateFile(file, `${name}_FILE`)
  } catch (error) {
    return { problem: `${name}_FILE: ${file} cannot be read (${codeOf(error)})` }
  }
}

function readPrivateFile(file: string, variable: string): FoundSecret {
  // a named pipe would otherwise keep us waiting for its writer
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const status = fstatSync(descriptor)
    if (!status.isFile()) return { problem: `${variable}: ${file} is not a file` }
    const mode = status.mode & 0o777
    if ((mode & 0o077) !== 0) {
      const found = `mode ${mode.toString(8).padStart(4, '0')}`
      return { problem: `${variable}: ${file} is open to others (${found}): chmod 600 ${file}` }
    }
    const text = readFileSync(descriptor, 'utf8').trim()
    return text === '' ? { problem: `${variable}: ${file} is empty` } : { secret: new Secret(text) }
  } finally {
    closeSync(descriptor)
  }
}
