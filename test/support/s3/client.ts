import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { Test } from 'tap'

/** An S3 on this machine: the double, or Swift. */
export type S3Place = { url: string; region: string; bucket: string; env: Record<string, string> }

/**
 * The SDK's own client for it, that goes with the test. It tries once and adds no checksum that nobody asked for, where
 * `settings` do not say otherwise.
 */
export function clientOf(test: Test, place: S3Place, settings: S3ClientConfig = {}): S3Client {
  const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = '' } = place.env
  const client = new S3Client({
    endpoint: place.url,
    region: place.region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // what it has to say of a failure comes with the failure
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    ...settings,
  })
  test.teardown(() => client.destroy())
  return client
}
