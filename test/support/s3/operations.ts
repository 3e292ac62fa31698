import type { Answer, Asked } from './asked.ts'
import { getBucketLocation, headBucket, listObjects } from './listings.ts'
import { abortUpload, completeUpload, createUpload, listParts, listUploads, uploadPart } from './multipart.ts'
import { deleteObject, deleteObjects, getObject, headObject, putObject, restoreObject } from './objects.ts'
import type { Operation } from './routes.ts'

/** What the double can do. Each does it all at once, so that no other request comes between. */
export const operations: Record<Operation, (asked: Asked) => Answer> = {
  HeadBucket: headBucket,
  GetBucketLocation: getBucketLocation,
  ListObjectsV2: listObjects,
  ListMultipartUploads: listUploads,
  DeleteObjects: deleteObjects,
  HeadObject: headObject,
  GetObject: getObject,
  PutObject: putObject,
  DeleteObject: deleteObject,
  RestoreObject: restoreObject,
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  ListParts: listParts,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
}
