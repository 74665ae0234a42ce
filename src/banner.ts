import { DEMO_PASSWORD, DEMO_SECRET } from './config/development.ts'
import type { Configuration } from './config/schema.ts'
import { IDSCAN_PATH } from './contracts/idscan/path.ts'

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
  if (configuration.idscan) {
    lines.push(
      '  # IDscan: a login for scanning',
      `  curl -sS -d 'grant_type=password&username=demo&password=${DEMO_PASSWORD}&area=scanning' '${url}${IDSCAN_PATH}'`,
      '',
    )
  }
  lines.push('Your own configuration: cp trimint.example.yaml trimint.yaml', '')
  return lines.join('\n')
}
