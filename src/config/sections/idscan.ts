import { z } from 'zod'
import { IDSCAN_AREAS } from '../../core/idscan/account.ts'
import { flag, label, origin, password, seconds, text } from '../value-schemas.ts'
import { always, listOf, oneOf, uniqueList } from './combinators.ts'

const account = z.strictObject({
  username: label.meta({ description: 'Name with which the account logs in.' }),
  password: password.meta({ description: 'Hash of the password: `trimint hash-password` prints it.' }),
  fullName: label.optional().meta({ description: 'Full name in the reply.' }),
  role: label.optional().meta({ description: 'Role in the reply.' }),
  areas: listOf(oneOf(...IDSCAN_AREAS), `a list of ${IDSCAN_AREAS.join(', ')}`)
    .default([])
    .meta({ description: 'Areas for which the account may log in.' }),
  memberOf: listOf(label, 'a list of names').default([]).meta({ description: 'Groups in the reply.' }),
  tenant: label.optional().meta({ description: 'Tenant in the reply.' }),
  branchCode: label.optional().meta({ description: 'Branch code in the reply. Quote digits: `"0042"`.' }),
  disabled: flag.default(false).meta({ description: 'Whether Trimint rejects logins and tokens of the account.' }),
})

/** `POST /idscanenterprisesvc/token`, as GBG's IDscan issues tokens. */
export const idscan = z
  .strictObject({
    lifetime: seconds('1s', '366d').prefault('10h').meta({ description: 'Validity of a token.' }),
    idleTimeout: seconds('1m', '366d').prefault('15m').meta({
      description: 'Idle time-out that Trimint reports in the reply. It is enforced only with `enforceIdleTimeout`.',
    }),
    enforceIdleTimeout: flag
      .default(false)
      .meta({ description: 'Whether a check rejects a token that was not used for `idleTimeout`.' }),
    requireArea: flag.default(false).meta({ description: 'Whether Trimint rejects a login without an `area`.' }),
    usernameCase: oneOf('sensitive', 'insensitive')
      .default('sensitive')
      .meta({ description: 'Whether upper and lower case differ in user names.' }),
    corsOrigins: listOf(origin, 'a list of origins, no wildcard (*)')
      .default([])
      .meta({ description: 'Origins of web pages that may call this contract (CORS).' }),
    accounts: uniqueList(account, 'username').meta({ description: 'Accounts that may log in.' }),
    standIns: flag.default(false).meta({
      description:
        'Whether Trimint also answers the calls that follow a token, such as `POST /idscanenterprisesvc/journey/upload`: see [journeys.md](journeys.md). Needs `control`. Production rejects it.',
    }),
    fixtures: text('the path of a folder', /^.{1,4096}$/s)
      .optional()
      .meta({
        description:
          'Folder with JSON files that replace or extend what the stand-ins answer: see [journeys.md](journeys.md#your-own-documents).',
      }),
  })
  .superRefine((section, context) => {
    if (section?.usernameCase !== 'insensitive' || !Array.isArray(section.accounts)) return
    const folded = uniqueList(z.unknown(), 'username', (name) => (typeof name === 'string' ? name.toLowerCase() : name))
    for (const issue of folded.safeParse(section.accounts).error?.issues ?? []) {
      const message = 'same name except for case; expected a unique one, because usernameCase is insensitive'
      context.addIssue({ code: 'custom', path: ['accounts', ...issue.path], message })
    }
  }, always)
