import module from 'node:module'
import { join } from 'node:path'
import { cacheFolder } from './release/cache.ts'

// Code that Node has freed of types and compiled is kept beside packed releases: a third of a start is saved. It is for
// what is imported after this file. A Node that is too old for it is told so later on.
module.enableCompileCache?.(join(cacheFolder(), 'compiled'))
