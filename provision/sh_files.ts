import { quote } from './quote.ts'

// Text for sh that writes files so that nobody sees a half of one.

/** Standard input to a file beside its place. Nobody else reads it first; what fails leaves nothing. */
export function writeBeside(
  path: string,
  mode: string,
  ownership: string[] = [],
  checks: string[] = [],
): string[] {
  return [
    `t=${quote(temporaryOf(path))}`,
    `trap 'status=$?; [ "$status" = 0 ] || rm -f -- "$t"; exit "$status"' EXIT`,
    `[ ! -d ${quote(path)} ] || { echo ${quote(`${path} is a folder`)}; exit 1; }`,
    'umask 077',
    'cat >"$t"',
    ...ownership,
    `chmod ${mode} -- "$t"`,
    ...checks,
    'sync -- "$t"',
  ]
}

/** Nobody sees a half of a file. */
export function giveName(path: string): string {
  return `mv -T -- ${quote(temporaryOf(path))} ${quote(path)}`
}

/** Neither cron nor logrotate reads a file of such a name, should one be left over. */
export function temporaryOf(path: string): string {
  return `${path}.dpkg-new`
}

export function lines(...all: string[]): string {
  return all.join('\n')
}
