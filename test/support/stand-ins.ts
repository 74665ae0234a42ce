import { getToken } from './bws.ts'
import { control, startDevelopment } from './development.ts'
import { ACCOUNT, jsonOf, LOGIN, login } from './idscan.ts'
import { trackSecret } from './leak-recorder.ts'
import type { Answerer, Reply, RequestOptions, Service } from './service.ts'
import { APP } from './service.ts'

type DevelopmentOptions = NonNullable<Parameters<typeof startDevelopment>[0]>
type Sections = NonNullable<DevelopmentOptions['configuration']>

/** Starts a service with the stand-ins of both vendors. */
export function startStandIns({ configuration, ...options }: DevelopmentOptions = {}): Promise<Service> {
  const bws = { apps: [APP, { ...APP, id: 'app-2' }], standIns: true }
  const idscan = { accounts: [ACCOUNT, { ...ACCOUNT, username: 'other' }], standIns: true }
  return startDevelopment({ ...options, configuration: { bws, idscan, ...configuration } satisfies Sections })
}

/** The smallest images: one pixel. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
export const JPEG = Buffer.from(
  'ffd8ffe000104a46494600010100000100010000ffdb004300ffc0000b080001000101011100ffc4001400010000000000000000000000000000000affda0008010100003f00d2cfffd9'.replace(
    'ffdb004300',
    `ffdb004300${'01'.repeat(64)}`,
  ),
  'hex',
)
export const DATA_URL = `data:image/png;base64,${PNG.toString('base64')}`

/** Requests a token of BWS. */
export async function issueToken(service: Answerer, query: string): Promise<string> {
  const { status, body } = await getToken(service, `id=app-1&${query}`)
  if (status !== 200) throw new Error(`no token: ${status} ${body}`)
  trackSecret(body)
  return body
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** Uploads an image; the smallest PNG by default. */
export function upload(
  service: Answerer,
  token: string,
  { query = '', body = DATA_URL }: { readonly query?: string; readonly body?: string | Buffer } = {},
): Promise<Reply> {
  return service.request(`/upload?${query}`, { method: 'POST', headers: bearer(token), body })
}

/** Uploads samples, one for each tag, and performs an operation. */
export async function perform(
  service: Answerer,
  token: string,
  operation: string,
  tags: readonly string[] = ['any', 'any'],
): Promise<Reply> {
  for (const [index, tag] of tags.entries()) await upload(service, token, { query: `tag=${tag}&index=${index + 1}` })
  return service.request(`/${operation}`, { headers: bearer(token) })
}

/** Enrolls a class with a new token. */
export async function enroll(service: Answerer, bcid: string): Promise<void> {
  const reply = await perform(service, await issueToken(service, `bcid=${bcid}&task=enroll`), 'enroll')
  if (reply.body !== '{"Success":true,"Error":null}') throw new Error(`not enrolled: ${reply.body}`)
}

export async function logIn(service: Answerer, area: string, username = ACCOUNT.username): Promise<string> {
  return String(jsonOf(await login(service, { ...LOGIN, username, area })).access_token)
}

/** Sends a JSON text, or what it stands for, as a journey. */
export function uploadJourney(
  service: Answerer,
  token: string,
  body: unknown = {},
  options: RequestOptions = {},
): Promise<Reply> {
  return service.request('/idscanenterprisesvc/journey/upload', {
    method: 'POST',
    headers: { authorization: token, 'content-type': 'application/json' },
    body: Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body),
    ...options,
  })
}

export function getJourney(service: Answerer, token: string, id: string): Promise<Reply> {
  return service.request(`/idscanenterprisesvc/Journey/Get?JourneyID=${id}`, { headers: { authorization: token } })
}

/** Chooses outcomes. */
export function chooseOutcomes(service: Answerer, body: unknown) {
  return service.request('/_trimint/outcomes', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

export async function resetAll(service: Answerer): Promise<void> {
  await control(service, 'POST', '/reset')
}
