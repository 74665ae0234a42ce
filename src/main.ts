import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import './hangup.ts'
import './optimiser.ts'

// What Node makes of the sources is kept from one start to the next, in a folder of whoever installed this: one that others can
// write into, such as the system's for temporary files, could have us run their code. Where it cannot be written, a start
// takes longer, and that is all.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/trimint'))
await import('./process.ts')
