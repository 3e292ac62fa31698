import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { replaceFile } from '../job/replace_file.ts'

/** Puts a document where it was asked for, whole or not at all. */
export function writeDocument(file: string, text: string): void {
  try {
    replaceFile(file, text)
  } catch (error) {
    throw new UserError(`${file} cannot be written: ${codeOf(error) || messageOf(error)}`, {
      hint: 'Is its folder there, and may this user write to it?',
      cause: error,
    })
  }
}
