import type { ConfigurationInput } from '../../src/config/schema.ts'
import { trackSecret } from './leak-recorder.ts'
import type { Answerer, Reply, RequestOptions } from './service.ts'

export const PASSWORD = ' pä55 wörd+&=% '
export const PATH = '/idscanenterprisesvc/token'

type Account = Exclude<ConfigurationInput['idscan'], false | undefined>['accounts'][number]

/** The vendor's sample account. The password is in plain text so that tests do not wait for argon2. */
export const ACCOUNT: Account = {
  username: 'psc',
  password: `plain:${PASSWORD}`,
  fullName: 'PSC',
  role: 'SuperAdministrator',
  areas: ['scanning', 'investigation'],
  memberOf: ['Users', 'Other Users'],
  tenant: 'IDscan',
  branchCode: '0042',
}

/** A login that is accepted. */
export const LOGIN = { grant_type: 'password', username: 'psc', password: PASSWORD, area: 'scanning' }

/** Encodes a form, with one pair for each value. */
export function encodeForm(form: Record<string, string | string[]>): string {
  const pairs = Object.entries(form).flatMap(([name, values]) => [values].flat().map((value) => [name, value]))
  return new URLSearchParams(pairs).toString()
}

export function login(
  service: Answerer,
  form: Record<string, string | string[]> | string = LOGIN,
  options: RequestOptions & { readonly path?: string } = {},
): Promise<Reply> {
  trackSecret(PASSWORD)
  trackSecret(encodeURIComponent(PASSWORD))
  const { path = PATH, headers = {}, ...rest } = options
  const body = typeof form === 'string' ? form : encodeForm(form)
  return service.request(path, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    ...rest,
  })
}

/** Returns the JSON of a reply, and records its token as a secret. */
export function jsonOf({ body }: Reply): Record<string, unknown> {
  const json = JSON.parse(body) as Record<string, unknown>
  if (typeof json.access_token === 'string') trackSecret(json.access_token)
  return json
}
