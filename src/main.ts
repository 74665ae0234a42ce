import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import './hangup.ts'
import './optimiser.ts'

// What Node makes of the sources is kept from one start to the next, in a folder of whoever installed this: one that others can
// write into, such as the system's for temporary files, could have us run their code. Where it cannot be written, a start
// takes longer, and that is all.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/trimint'))
// One process by default: what several need is not even loaded.
const isAlone = ['', '1'].includes(process.env.WORKERS ?? '')
await (isAlone ? import('./process.ts') : import('./workers/start.ts'))
