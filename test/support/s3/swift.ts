import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import type { Test } from 'tap'
import { skipWithoutPackages } from '../debian.ts'
import { temporaryFolder } from '../workspace.ts'
import { clientOf, type S3Place } from './client.ts'
import { region } from './signature.ts'

const server = fileURLToPath(new URL('swift_server.py', import.meta.url))

/** The reason to skip what needs Swift; false where it is there, or has been installed just now. */
export function skipWithoutSwift(): string | false {
  return skipWithoutPackages({ 'python3-swift': '/usr/lib/python3/dist-packages/swift/proxy/server.py' })
}

/**
 * A real OpenStack Swift with its S3 API, on ports of its own and with an empty bucket, for as long as the test. Clients
 * have to be content without checksums (`WHEN_REQUIRED`), and there is no storage class but STANDARD.
 */
export async function startSwift(test: Test, bucket = 'candlekeep'): Promise<S3Place> {
  const [accessKeyId, secretAccessKey] = ['test:tester', 'testing']
  // Debian's own Python: another one that comes first in PATH does not have Swift
  const args = ['-W', 'ignore', server, temporaryFolder(test), accessKeyId, secretAccessKey]
  const child = spawn('/usr/bin/python3', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'close')
  test.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended])
  if (typeof line !== 'string') throw new Error(`Swift did not start: ${said}`)
  const { port } = JSON.parse(line) as { port: number }

  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: region }
  const place = { url: `http://127.0.0.1:${port}`, region, bucket, env }
  await clientOf(test, place).send(new CreateBucketCommand({ Bucket: bucket }))
  return place
}
