import './signals.ts'
import cluster from 'node:cluster'
import type { ServingLimits } from './serve.ts'

/** Serves until a signal ends this process, in it or in WORKERS processes. */
export async function startServing(limits: ServingLimits = {}): Promise<void> {
  // WORKERS is validated where it is used; here it only decides what to load.
  const isCluster = !['', '1'].includes(process.env.WORKERS ?? '')
  if (isCluster && cluster.isPrimary) {
    const { servePrimary } = await import('./cluster/primary.ts')
    await servePrimary(limits)
  } else {
    const { serve } = await import('./serve.ts')
    const link = cluster.isWorker ? (await import('./cluster/primary-link.ts')).connectToPrimary() : undefined
    await serve(limits, link)
  }
}
