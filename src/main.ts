import './process/signals.ts'
import cluster from 'node:cluster'

// WORKERS is validated where it is used; here it only decides what to load.
const isCluster = !['', '1'].includes(process.env.WORKERS ?? '')

if (isCluster && cluster.isPrimary) {
  const { servePrimary } = await import('./process/cluster/primary.ts')
  await servePrimary()
} else {
  const { serve } = await import('./process/serve.ts')
  const link = cluster.isWorker ? (await import('./process/cluster/primary-link.ts')).connectToPrimary() : undefined
  await serve(link)
}
