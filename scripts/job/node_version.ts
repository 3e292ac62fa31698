// Judged before any database is opened: on an old Node better-sqlite3's first `new Database()` kills the process
// without a word.
const wanted = 24

if (Number(process.versions.node.split('.')[0]) < wanted) {
  console.error(`candlekeep needs Node ${wanted} or newer; this is ${process.version} (${process.execPath}).`)
  console.error('Start it with npx, which takes the Node that npm ci has brought: npx zx scripts/NAME.mts')
  process.exit(78)
}
