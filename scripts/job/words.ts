import { basename } from 'node:path'

/** The command line of one of our commands. */
export function command(script: string, ...args: string[]): string {
  return ['npx zx', `scripts/${script}.mts`, ...args].join(' ')
}

/** A word of a shell command line. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** `3 symbols`, `1 symbol`. */
export function count(number: number, thing: string): string {
  return `${number.toLocaleString('en')} ${thing}${number === 1 ? '' : 's'}`
}

/** The first few of some names, and how many more there are. */
export function some(names: string[], shown = 3): string {
  const rest = names.length - shown
  return `${names.slice(0, shown).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

/** Lists the processes that hold a lock on a database (util-linux, on every Debian). */
export function whoHolds(database: string): string {
  return `lslocks -o COMMAND,PID,MODE,PATH | grep ${quote(basename(database))}`
}

/** `45.2 MB`; a MB is a million bytes. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)))
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}
