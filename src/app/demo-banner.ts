import { DEMO_PASSWORD, DEMO_SECRET } from '../config/demo-config.ts'
import type { Configuration } from '../config/schema.ts'
import { IDSCAN_PATH } from '../contracts/idscan/path.ts'

/** What a start without a configuration file says: ready lines to paste, one for each contract. */
export function formatDemoBanner(url: string, configuration: Configuration): string {
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
  if (configuration.nevisfido) {
    lines.push(
      "  # nevisFIDO: a token for a registration, by the vendor's own sample",
      `  curl -sS -H 'Accept: application/json' -H 'Content-Type: application/fido+uaf;charset=UTF-8' -d '{"context": "{ \\"username\\" : \\"jeff\\" }", "op" : "Reg"}' '${url}/nevisfido/token/create/registration'`,
      '',
    )
  }
  if (configuration.docs) lines.push(`Every request, in a browser: ${url}/docs`)
  lines.push('Your own configuration: cp trimint.example.yaml trimint.yaml', '')
  return lines.join('\n')
}
