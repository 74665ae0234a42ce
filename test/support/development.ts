import type { ConfigurationInput } from '../../src/config/schema.ts'
import type { JournalRecord } from '../../src/development/journal/schema.ts'
import { ACCOUNT } from './idscan.ts'
import { RESOURCE_SERVERS } from './lifecycle.ts'
import { OPEN } from './nevisfido.ts'
import { type Answerer, APP, type Reply, type RequestOptions, type Service, startService } from './service.ts'

/** Every contract, with the control API. */
const DEVELOPMENT: Partial<ConfigurationInput> = {
  publicUrl: 'http://127.0.0.1:8080',
  bws: { apps: [APP] },
  idscan: { accounts: [ACCOUNT] },
  nevisfido: OPEN,
  resourceServers: RESOURCE_SERVERS,
  control: true,
}

type DevelopmentOptions = NonNullable<Parameters<typeof startService>[0]>

export function startDevelopment(options: DevelopmentOptions = {}): Promise<Service> {
  return startService({ ...options, configuration: { ...DEVELOPMENT, ...options.configuration } })
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** Sends a request to the control API; a body as JSON. */
export async function control(
  service: Answerer,
  method: Method,
  path: string,
  body?: unknown,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply & { readonly json: Record<string, unknown> }> {
  const reply = await service.request(`/_trimint${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...options,
  })
  return { ...reply, json: reply.body.startsWith('{') ? JSON.parse(reply.body) : {} }
}

/** Returns the newest request in the journal. */
export async function latest(service: Answerer, query = ''): Promise<JournalRecord> {
  const { json } = await control(service, 'GET', `/requests?limit=1&${query}`)
  const [record] = json.requests as JournalRecord[]
  if (!record) throw new Error('the journal is empty')
  return record
}
