import { DEMO_SECRET } from './config/development.ts'
import type { Configuration } from './config/schema.ts'

/** What a start without a configuration file says: ready lines to paste, one for each contract. */
export function developmentBanner(url: string, configuration: Configuration): string {
  const lines = [`Trimint serves its built-in demo on ${url}, for this machine only. Paste to try:`, '']
  if (configuration.bws) {
    lines.push(
      '  # BWS: a token for a face verification',
      `  curl -sS -u demo-app:${DEMO_SECRET} '${url}/token?id=demo-app&bcid=bws.112.12345'`,
      '',
    )
  }
  lines.push('Your own configuration: cp trimint.example.yaml trimint.yaml', '')
  return lines.join('\n')
}
