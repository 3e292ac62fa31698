import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { reachableFrom } from './reachable.ts'

export type Arch = 'x64' | 'arm64'

/** Of a package's files, those that can run; what else a package needs is what Node would look for. */
type Rule = (folder: string, arch: Arch) => (path: string) => boolean

/** Only of our exchange, and only what it can import: all of ccxt is ten times the rest together. */
const ccxt: Rule = folder => {
  const reachable = reachableFrom(folder, ['js/src/binanceusdm.js'])
  return path => path === 'package.json' || reachable.has(path)
}

/** It has its binary for eight systems, and the sources of SQLite. */
const betterSqlite3: Rule = (_, arch) => path =>
  path === 'package.json' || path.startsWith('lib/') || path === `prebuilds/linux-${arch}.node`

/** It has whole bundles for browsers in dist, ten times as large as the modules that they are made of. */
const echarts: Rule = () => path => /^(package\.json$|[^/]+\.js$|lib\/)/.test(path)

/** Node takes dist-cjs, by `main` or the condition `node`; dist-es is the same for bundlers. */
const aws: Rule = () => path => !path.startsWith('dist-es/')

const rules: [RegExp, Rule][] = [
  [/^ccxt$/, ccxt],
  [/^better-sqlite3$/, betterSqlite3],
  [/^(echarts|zrender)$/, echarts],
  [/^@(aws-sdk|smithy)\//, aws],
]

/** Node runs no TypeScript in node_modules, and nobody there compiles or reads documentation. */
const neverRuns = [
  /\.[cm]?tsx?$/,
  /\.map$/,
  /\.(md|markdown|html|flow)$/i,
  /\.(c|cc|cpp|h|hpp|gyp|gypi)$/,
  /^(tests?|spec|__tests__|docs?|examples?|benchmarks?|man|\.github)\//,
  /^\.[^/]*$/,
]

/** The files of an installed package that can run on a Linux host, and its licences; paths in the package. */
export function runtimeFiles(folder: string, name: string, arch: Arch): string[] {
  const applying = rules.filter(([pattern]) => pattern.test(name)).map(([, rule]) => rule(folder, arch))
  const canRun = (path: string) =>
    !neverRuns.some(pattern => pattern.test(path)) && applying.every(rule => rule(path))
  return filesBelow(folder).filter(path => isLicence(path) || canRun(path))
}

function isLicence(path: string): boolean {
  return /^(un)?(licen[cs]e|copying|copyright|notice)/i.test(basename(path)) && !/\.[cm]?[jt]s$/.test(path)
}

/** Packages inside a package are packages of their own. */
function filesBelow(folder: string, below = ''): string[] {
  return readdirSync(join(folder, below), { withFileTypes: true }).flatMap(entry => {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(folder, path)
    return entry.isFile() ? [path] : []
  })
}
