// Imported before anything that loads better-sqlite3: on an old Node its first `new Database()` kills the process
// without a word.
const wanted = 24

if (Number(process.versions.node.split('.')[0]) < wanted) {
  console.error(`candlekeep needs Node ${wanted} or newer; this is ${process.version} (${process.execPath}).`)
  console.error('Start it with npx, which takes the Node that npm ci has brought: npx zx scripts/NAME.mts')
  process.exit(78)
}
