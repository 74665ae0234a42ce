import type { Clock } from '../core/clock.ts'

/** A scrape may be this old where Trimint runs as a process: far less than the interval of any Prometheus. */
export const METRICS_MAX_AGE_MS = 1_000

/** Returns all metrics in Prometheus' text format. */
export type RenderMetrics = () => Promise<string>

/**
 * Limits how often metrics are rendered, however many clients ask: one rendering at a time, which all of them share.
 *
 * @param maxAgeMs for how long a rendering is used after it is complete.
 */
export function shareRendering(render: RenderMetrics, maxAgeMs: number, uptime: Clock): RenderMetrics {
  let latest: Promise<string> | undefined
  let renewAt = Number.POSITIVE_INFINITY

  async function renew(): Promise<string> {
    renewAt = Number.POSITIVE_INFINITY
    try {
      return await render()
    } finally {
      renewAt = uptime() + maxAgeMs
    }
  }

  return () => {
    if (!latest || uptime() >= renewAt) {
      latest = renew()
      // A failure is not kept.
      latest.catch(() => {
        latest = undefined
      })
    }
    return latest
  }
}
