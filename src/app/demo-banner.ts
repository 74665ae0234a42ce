import { DEMO_PASSWORD, DEMO_SECRET } from '../config/demo-config.ts'
import type { Configuration } from '../config/schema.ts'
import { IDSCAN_PATH } from '../contracts/idscan/path.ts'

/** Returns what a start without a configuration file prints: a curl line for each contract. */
export function formatDemoBanner(url: string, configuration: Configuration): string {
  const lines = [`Trimint serves its built-in demo on ${url}, reachable from this machine only. Try:`, '']
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
      "  # nevisFIDO: a registration token, with the vendor's own sample request",
      `  curl -sS -H 'Accept: application/json' -H 'Content-Type: application/fido+uaf;charset=UTF-8' -d '{"context": "{ \\"username\\" : \\"jeff\\" }", "op" : "Reg"}' '${url}/nevisfido/token/create/registration'`,
      '',
    )
  }
  if (configuration.control) lines.push(`Console, with every request and why it was refused: ${url}/`)
  if (configuration.docs) lines.push(`API reference, with a form for each request: ${url}/docs`)
  lines.push('Your own configuration: cp trimint.example.yaml trimint.yaml', '')
  return lines.join('\n')
}
