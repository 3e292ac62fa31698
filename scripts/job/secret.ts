import { inspect } from 'node:util'

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

/** The environment variable `name` as a secret, or undefined where it is unset or empty. */
export function secretFromEnvironment(name: string): Secret | undefined {
  const value = process.env[name]
  return value === undefined || value === '' ? undefined : new Secret(value)
}
