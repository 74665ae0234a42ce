import { z } from 'zod'
import { BWS_TASKS } from '../../core/bws/task.ts'
import { absoluteUrl, expected, flag, label, partition, seconds } from '../value-schemas.ts'
import { listOf, oneOf, uniqueList, wildcardOr } from './combinators.ts'
import { withSecrets } from './credentials.ts'

const challengeClaim = oneOf('array', 'string')
const tokenLifetime = seconds('1s', '366d')

const app = withSecrets({
  client: label.optional().meta({ description: 'Claim `clnt` of the tokens. Without it: the `id`.' }),
  bcids: wildcardOr(partition, '"*", or a list of storage/partition such as bws/112').meta({
    description: 'Biometric storages for which the app may request tokens; `"*"` allows every storage.',
  }),
  tasks: listOf(oneOf(...BWS_TASKS), `a list of ${BWS_TASKS.join(', ')}`)
    .min(1, expected('at least one task'))
    .default([...BWS_TASKS])
    .meta({ description: 'Tasks for which the app may request tokens.' }),
  lifetime: tokenLifetime.optional().meta({ description: "Validity of the app's tokens, instead of `bws.lifetime`." }),
  challengeClaim: challengeClaim
    .optional()
    .meta({ description: "Form of the claim in the app's tokens, instead of `bws.challengeClaim`." }),
})

/** `GET /token`, as BioID's BWS issues tokens. */
export const bws = z.strictObject({
  issuer: label.default('BWS').meta({ description: 'Claim `iss` of the tokens.' }),
  audience: absoluteUrl
    .optional()
    .meta({ description: 'Claim `aud` of the tokens. Without it: the origin of `publicUrl`.' }),
  lifetime: tokenLifetime.prefault('10m').meta({ description: 'Validity of a token.' }),
  challengeClaim: challengeClaim.default('array').meta({
    description:
      "Form of the claim `challenge`: a JSON array, or JSON text, as the vendor's iOS, ASP.NET, MVC and PHP clients need it.",
  }),
  apps: uniqueList(app, 'id').meta({ description: 'Apps that may request tokens.' }),
  standIns: flag.default(false).meta({
    description:
      'Whether Trimint also answers the calls that follow a token, such as `POST /upload` and `GET /verify`: see [journeys.md](journeys.md). Needs `control`. Production rejects it.',
  }),
})
