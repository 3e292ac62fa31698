import { quote } from '../quote.ts'
import { activate, prune, receiveLayer, receiveRelease, rollBack } from './host_scripts.ts'

/*
 * What brings releases onto a host, as text for sh (dash, coreutils, tar, gzip). Each step may be killed anywhere, or the
 * power may fail, and can be run again: what has its name is whole, and `current` leads to a release at each moment. Two
 * at once are for the caller to prevent, and do no harm to what is whole.
 */

/** Takes a packed layer from standard input, checks it and puts it in INSTALL/store/NAME. */
export function receiveLayerStep(install: string, name: string, sha256: string): string {
  return text(receiveLayer, install, checkedName(name), sha256)
}

/**
 * Takes the packed scripts from standard input, and puts them in INSTALL/releases/ID with links to their layers, which are
 * there already. It fails where Node or SQLite's binary does not run on this host: a library may be missing.
 */
export function receiveReleaseStep(
  install: string,
  id: string,
  sha256: string,
  node: string,
  modules: string,
): string {
  return text(receiveRelease, install, checkedName(id), sha256, checkedName(node), checkedName(modules))
}

/**
 * Makes a release the one that runs, at one moment, and records it. Then it removes the releases but for the `keep` that
 * were active last, the current and the previous among them, the layers that no release needs, and whatever killed steps
 * have left: a line is printed for each thing that had a name. What cannot be removed is no failure.
 */
export function activateStep(install: string, id: string, keep: number): { script: string } {
  const kept = String(Math.max(2, Math.floor(keep)))
  const removal = `{ ${text(prune, install, kept)} || echo 'older releases could not be removed'; }`
  return { script: `${text(activate, install, checkedName(id))} && ${removal}` }
}

/** Makes the release run that ran before this one, and prints its id. Done twice, all is as before. */
export function rollbackStep(install: string): { script: string } {
  return { script: text(rollBack, install) }
}

/** The programs never change: what does is in their arguments, and nothing of it is read as sh. */
function text(script: string, ...args: string[]): string {
  return ['sh', '-euc', script, 'sh', ...args].map(word => quote(word)).join(' ')
}

/** Names become parts of paths and of patterns. */
function checkedName(name: string): string {
  if (!/^[A-Za-z0-9][\w.+-]*$/.test(name))
    throw new Error(`${JSON.stringify(name)} is no name of a layer or a release`)
  return name
}
