import { readFileSync } from 'node:fs'
import { METHODS } from 'node:http'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { PATH as IDSCAN_PATH } from '../idscan.ts'
import type { Answer, FuzzRequest } from './http.ts'

interface Response {
  readonly headers?: Readonly<Record<string, { readonly schema: object }>>
  readonly content?: Readonly<Record<string, { readonly schema: object }>>
}

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly schema: { readonly enum?: readonly string[] } }[]
  readonly responses: Readonly<Record<string, Response>>
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

/** A response of the document, prepared for comparison. */
interface Expected {
  readonly headers: readonly { readonly name: string; readonly optional: boolean; readonly isValid: ValidateFunction }[]
  readonly names: ReadonlySet<string>
  /** By the media type in the document. */
  readonly bodies: ReadonlyMap<string, ValidateFunction>
}

interface Route {
  readonly pattern: RegExp
  /** By lower-case method. */
  readonly operations: Readonly<Record<string, ReadonlyMap<string, Expected>>>
  /** The operation for methods that the document does not list; undefined for a path that it does not list. */
  readonly others: string | undefined
  readonly mediaType: string
}

/** The exact content type of each contract. They differ, so an answer in another contract's format is found. */
const SERVICE_JSON = 'application/json; charset=utf-8'
const IDSCAN_JSON = 'application/json;charset=UTF-8'
const NEVISFIDO_JSON = 'application/json'

/** Headers that Node and Fastify add to every answer. */
const GENERAL = ['date', 'connection', 'keep-alive', 'content-length', 'transfer-encoding', 'content-type']

/** CORS headers depend on the origin. The contract page describes them (I27), the document does not. */
const CORS = ['vary', 'access-control-allow-origin', 'access-control-allow-methods', 'access-control-allow-headers']
const IDSCAN_HEADERS = [...CORS, 'access-control-max-age']

/** Headers that are omitted when they have no value. */
const OPTIONAL = /^x-trimint-(?!token-id|subject)/

/** Statuses from Node's parser. It also answers a wrong `Expect` (417) and a missing Host (400), without a body. */
const UNREADABLE_STATUSES = [400, 408, 413, 417, 431]

/** /docs serves files and is not part of the document. The statuses are those of HTTP for files. */
const DOCS = /^\/docs(?:\/(?:page\.js|swagger-ui-bundle\.js|swagger-ui\.css|favicon-32x32\.png|openapi\.json)?)?$/
const DOCS_STATUSES = [200, 206, 302, 304, 412, 416]

export interface Conformance {
  /** Returns every difference between an answer and the document; empty when they agree. */
  faultsOf(request: Pick<FuzzRequest, 'method' | 'target'>, answer: Answer): string[]
  /** Returns the same for an answer to bytes that are not HTTP, which ends the connection. */
  faultsOfLastWord(answer: Answer): string[]
}

/** Compares answers with openapi/openapi.json. */
export function createConformance(): Conformance {
  const document = JSON.parse(readFileSync('openapi/openapi.json', 'utf8')) as Document
  const compilers: Compilers = { body: createCompiler(false), header: createCompiler(true) }
  const routes = Object.entries(document.paths).map(([path, operations]) => toRoute(compilers, path, operations))
  // The answers of every path outside the contracts.
  const service = routes.find(({ pattern }) => pattern.test('/healthz'))?.operations.get?.get('default')
  if (!service) throw new Error('the document has no default answer')
  const notFound: Expected = { ...service, names: new Set([...service.names, 'cache-control']) }

  function faultsOf({ method, target }: Pick<FuzzRequest, 'method' | 'target'>, answer: Answer): string[] {
    if (answer.status >= 500) return [`status ${answer.status}`]
    const path = pathOf(target)
    if (path !== undefined && DOCS.test(path) && ['GET', 'HEAD'].includes(method)) {
      return DOCS_STATUSES.includes(answer.status) ? [] : [`/docs: status ${answer.status}`]
    }
    // A browser is led to /docs, or to the console.
    if (path === '/' && answer.status === 302) return []
    const route = path === undefined ? undefined : routes.find(({ pattern }) => pattern.test(path))
    const operations = route?.operations
    const asked = method === 'HEAD' && operations?.get ? 'get' : method.toLowerCase()
    const responses = route && (operations?.[asked] ?? (route.others && operations?.[route.others]))
    if (!responses) {
      if (answer.status !== 404) return [`there is nothing here, and status ${answer.status}`]
      return faultsOfAnswer(method, answer, notFound, SERVICE_JSON)
    }
    const expected = responses.get(String(answer.status))
    if (!expected) return [`status ${answer.status} is not in the document`]
    return faultsOfAnswer(method, answer, expected, route.mediaType)
  }

  function faultsOfLastWord({ status, headers, body }: Answer): string[] {
    if (!UNREADABLE_STATUSES.includes(status)) return [`status ${status} to bytes that are not HTTP`]
    // Node answered: only a header was wrong.
    if (body.length === 0) return []
    const isValid = service?.bodies.get('application/json')
    const json = parseJson(body)
    return isValid?.(json) && headers.get('content-type')?.[0] === SERVICE_JSON ? [] : [`last word ${body}`]
  }

  return { faultsOf, faultsOfLastWord }
}

interface Compilers {
  readonly body: Ajv2020
  /** Converts header text into a number. */
  readonly header: Ajv2020
}

function createCompiler(coerceTypes: boolean): Ajv2020 {
  const ajv = new Ajv2020({ strict: false, coerceTypes })
  addFormats.default(ajv)
  return ajv
}

function toRoute(compilers: Compilers, path: string, operations: Readonly<Record<string, Operation>>): Route {
  const [first] = Object.values(operations)
  const names = first?.parameters?.find((parameter) => parameter.in === 'path')?.schema.enum ?? []
  const pattern = path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, `(?:${names.join('|')})`)
  const isIdscan = path.startsWith('/idscan')
  const isNevisfido = path.startsWith('/nevisfido')
  const isAuthz = path.startsWith('/authz')
  const more = isIdscan ? IDSCAN_HEADERS : []
  const every = Object.entries(operations).map(([method, { responses }]): [string, Map<string, Expected>] => [
    method,
    new Map(
      Object.entries(responses).map(([status, response]) => [
        status,
        toExpected(compilers, response, status, isAuthz, more),
      ]),
    ),
  ])
  // Only health and metrics are restricted to GET. All other routes answer every method.
  const isOurs = ['/healthz', '/readyz', '/metrics'].includes(path)
  return {
    pattern: new RegExp(isNevisfido ? `^${pattern}/?$` : `^${pattern}$`),
    operations: Object.fromEntries(every),
    others: isOurs ? undefined : Object.keys(operations)[0],
    mediaType: isIdscan || path.startsWith('/authz/idscan') ? IDSCAN_JSON : isNevisfido ? NEVISFIDO_JSON : SERVICE_JSON,
  }
}

function toExpected(
  compilers: Compilers,
  { headers = {}, content = {} }: Response,
  status: string,
  isAuthz: boolean,
  more: readonly string[],
): Expected {
  const described = Object.entries(headers).map(([header, { schema }]) => {
    const name = header.toLowerCase()
    return { name, optional: isAuthz && OPTIONAL.test(name), isValid: compilers.header.compile(schema) }
  })
  // HTTP requires a 405 to list the allowed methods, and a 401 to name a scheme.
  const names = [...described.map(({ name }) => name), ...more, ...(status === '405' ? ['allow'] : [])]
  return {
    headers: described,
    names: new Set([...names, ...GENERAL]),
    bodies: new Map(
      Object.entries(content).map(([mediaType, { schema }]) => [mediaType, compilers.body.compile(schema)]),
    ),
  }
}

function faultsOfAnswer(method: string, { status, headers, body }: Answer, expected: Expected, json: string): string[] {
  const faults: string[] = []
  for (const name of headers.keys()) if (!expected.names.has(name)) faults.push(`header ${name} is not in the document`)
  for (const { name, optional, isValid } of expected.headers) {
    const values = headers.get(name)
    if (!values) {
      if (!optional) faults.push(`header ${name} is missing`)
      continue
    }
    if (values.length > 1 && name !== 'set-cookie') faults.push(`header ${name} is there ${values.length} times`)
    const [value] = values
    if (!isValid(value)) faults.push(`header ${name}: ${value}`)
  }
  if (method === 'HEAD') return faults

  const [mediaType] = headers.get('content-type') ?? []
  if (expected.bodies.size === 0) {
    if (body.length > 0 || mediaType !== undefined)
      faults.push(`${status} has no body, and this is ${mediaType} ${body}`)
    return faults
  }
  const described = mediaType === json ? 'application/json' : (mediaType ?? '')
  const isValid = expected.bodies.get(described)
  if (!isValid) return [...faults, `media type ${mediaType}`]
  const content = described.startsWith('text/') ? body.toString() : parseJson(body)
  if (!isValid(content)) faults.push(`body ${body}: ${JSON.stringify(isValid.errors?.[0])}`)
  return faults
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body))
  } catch {
    return undefined
  }
}

/** Returns the path of a target as a router reads it; undefined when it has none. */
export function pathOf(target: string): string | undefined {
  const idscan = target.replace(/^https?:\/\/[^/]*/i, '').replace(/\?.*$/s, '')
  // In any case, with or without a trailing slash (I1), unless a part of it is encoded.
  if (/^\/idscanenterprisesvc\/token\/?$/i.test(idscan)) return IDSCAN_PATH
  const path = target.startsWith('/') ? target.replace(/[?#].*$/s, '') : pathOfUrl(target)
  if (path === undefined) return undefined
  try {
    // An encoded slash is not a separator.
    return decodeURIComponent(path.replaceAll(/%(2[346bcf]|3[abdf]|40)/gi, '%25$1'))
  } catch {
    return undefined
  }
}

/** Returns the path of a target that is a whole URL (RFC 9112 section 3.2.2). It may not contain a fragment. */
function pathOfUrl(target: string): string | undefined {
  if (!/^https?:\/\/[^/]/i.test(target) || target.includes('#') || !URL.canParse(target)) return undefined
  return target.replace(/^[a-z]+:\/\/[^/?]*/i, '').replace(/\?.*$/s, '')
}

/** All methods that Node accepts. CONNECT is excluded: it asks for a tunnel, not for an answer. */
export const FUZZ_METHODS: readonly string[] = METHODS.filter((method) => method !== 'CONNECT')
