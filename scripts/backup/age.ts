import { ReadableStream } from 'node:stream/web'
import { messageOf, UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'

/** A step of a pipeline. */
type Step = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

/**
 * Encrypts what goes through for the holders of `recipients` (age's public keys). The library is loaded only here: it
 * takes a tenth of a second. Throws a UserError where one of them is no key.
 */
export async function encryption(recipients: string[]): Promise<Step> {
  const { Encrypter } = await import('age-encryption')
  const encrypter = new Encrypter()
  for (const recipient of recipients)
    add(recipient, 'backup.cold.age_recipients', () => encrypter.addRecipient(recipient))
  return async function* (source) {
    yield* await encrypter.encrypt(ReadableStream.from<Uint8Array>(source))
  }
}

/** Decrypts what goes through. `identity`: a secret key, or a file of them as age-keygen writes it. */
export async function decryption(identity: string): Promise<Step> {
  const { Decrypter } = await import('age-encryption')
  const decrypter = new Decrypter()
  const keys = identity.split('\n').map(line => line.trim())
  for (const key of keys.filter(line => line !== '' && !line.startsWith('#')))
    add('the identity', 'backup.cold.age_identity_env', () => decrypter.addIdentity(key))
  return async function* (source) {
    yield* await decrypter.decrypt(ReadableStream.from<Uint8Array>(source))
  }
}

function add(what: string, where: string, action: () => void): void {
  try {
    action()
  } catch (error) {
    throw new UserError(`${where}: ${what} is no key of age: ${messageOf(error)}`, {
      hint: 'age-keygen makes a pair: age1… is the public key, AGE-SECRET-KEY-1… the identity.',
      status: exitStatus.configuration,
    })
  }
}
