import './process/signals.ts'
import './optimiser.ts'

// One process by default: what several need is not even loaded.
const isAlone = ['', '1'].includes(process.env.WORKERS ?? '')
await (isAlone ? import('./app/start-trimint.ts') : import('./process/cluster/start.ts'))
