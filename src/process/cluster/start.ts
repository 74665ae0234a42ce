import cluster from 'node:cluster'
import { readEnvironment } from '../../config/environment.ts'

// Where WORKERS is set. What is wrong with the environment is told as by any other start.
const { environment, faults } = readEnvironment(process.env)
const isParent = cluster.isPrimary && faults.length === 0 && environment.WORKERS > 1
await (isParent ? import('./primary.ts') : import('../../app/start-trimint.ts'))
