import { type BwsConfiguration, secretSlots } from '../../config/schema.ts'
import type { BwsApp } from '../../core/bws/issue.ts'

/** The configured apps by App-ID, every default in place. */
export function createBwsApps(configuration: BwsConfiguration, publicUrl: string): ReadonlyMap<string, BwsApp> {
  const { issuer, lifetime, challengeClaim } = configuration
  const audience = bwsAudience(configuration, publicUrl)
  const apps = configuration.apps.map((app): [string, BwsApp] => [
    app.id,
    {
      id: app.id,
      secrets: secretSlots(app),
      client: app.client ?? app.id,
      issuer,
      audience,
      lifetime: app.lifetime ?? lifetime,
      challengeClaim: app.challengeClaim ?? challengeClaim,
      tasks: new Set(app.tasks),
      partitions: app.bcids === '*' ? '*' : new Set(app.bcids),
    },
  ])
  return new Map(apps)
}

/** The vendor's audience has no path: one that publicUrl may have is cut (B25). */
export function bwsAudience({ audience }: BwsConfiguration, publicUrl: string): string {
  return audience ?? new URL(publicUrl).origin
}
