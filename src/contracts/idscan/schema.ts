import { z } from 'zod'
import { IDSCAN_AREAS } from '../../core/idscan/account.ts'
import { createParameterReader } from '../../http/form-parameters.ts'

// Each parameter's message completes the sentence "<name> must be …".

const given = { error: 'given and not empty' }

/** Checked before everything else (I6). */
export const grantType = z.literal('password').meta({ description: 'Exactly `password`.' })

const area = z.enum(IDSCAN_AREAS, { error: `one of ${IDSCAN_AREAS.join(', ')}` })

/** The form, its names in lower case. */
export const idscanTokenForm = z.object({
  grant_type: grantType,
  username: z.string(given).min(1, given).meta({ description: 'Login name, compared exactly.', example: 'demo' }),
  password: z
    .string(given)
    .min(1, given)
    .meta({ description: 'Never trimmed.', format: 'password', example: 'demo-password' }),
  area: z
    .preprocess((value) => (value === '' ? undefined : value), area.optional())
    .meta({ description: 'The area that the token permits. A token without one fails every check of an area.' }),
})

/** The same, where the configuration has `requireArea: true` (I11). */
export const idscanTokenFormWithArea = idscanTokenForm.extend({ area })

/** Reads the form as text, its parameters not yet checked. */
export const readIdscanForm = createParameterReader(Object.keys(idscanTokenForm.shape))

const NAME = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name'
const ROLE = 'http://schemas.microsoft.com/ws/2008/06/identity/claims/role'

/** The reply, its keys in the vendor's order (I16). */
export const idscanTokenReply = z.object({
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int().meta({ description: 'Seconds: the lifetime minus one (I18).' }),
  BranchCode: z.string(),
  [NAME]: z.string().meta({ description: 'Login name.' }),
  FullName: z.string(),
  AbbeyServiceCentre: z.string(),
  JourneyId: z.string(),
  IdleSessionTimeout: z.string().meta({ description: 'Minutes.' }),
  [ROLE]: z.string(),
  memberOf: z.string().meta({ description: 'Separated by commas.' }),
  tenant: z.string(),
  '.issued': z.string().meta({ description: 'IMF-fixdate (RFC 9110).' }),
  '.expires': z.string().meta({ description: 'IMF-fixdate (RFC 9110).' }),
})

export type IdscanTokenReply = z.output<typeof idscanTokenReply>

/** Every error of this contract (RFC 6749 section 5.2). */
export const idscanError = z.object({ error: z.string(), error_description: z.string() })

/** The areas that a gateway can check a token for (I31). */
export const areaParams = z.object({ area: z.enum(IDSCAN_AREAS).meta({ example: 'scanning' }) })

/** Every error of the check for gateways (I30, I31). */
export const idscanAccessError = z.object({ Message: z.string() })
