import type { FastifyRequest } from 'fastify'
import { decodeJws } from '../../core/crypto/jws.ts'
import { contractOf, pathOf } from '../paths.ts'
import type { FaultContract, FaultMatch } from './schema.ts'

/** What a request says about itself, none of it verified. */
type Identity = Readonly<Record<keyof FaultMatch, string | undefined>>

/** Tells whether only the body can decide on a match. */
export function needsBody({ account, username, client }: FaultMatch): boolean {
  return (account ?? username ?? client) !== undefined
}

/** Tells whether everything that a fault asks for fits a request (L9). */
export function fits(match: FaultMatch, identity: Identity): boolean {
  return Object.entries(match).every(([key, wanted]) => {
    if (wanted === undefined) return true
    const value = identity[key as keyof FaultMatch]
    if (key === 'path' && wanted.endsWith('*')) return value?.startsWith(wanted.slice(0, -1)) ?? false
    return key === 'method' ? value?.toUpperCase() === wanted.toUpperCase() : value === wanted
  })
}

/** Returns the contract of all requests that can match; undefined where there may be several. */
export function contractIn({ contract, app, account, path }: FaultMatch): FaultContract | undefined {
  if (contract !== undefined) return contract
  if (app !== undefined) return 'bws'
  if (account !== undefined) return 'idscan'
  return path === undefined ? undefined : contractOf(path)
}

/** @param body undefined where no fault needs it. */
export function identify(request: FastifyRequest, body: Buffer | undefined): Identity {
  const url = request.originalUrl
  const contract = contractOf(url)
  const params = (request.params ?? {}) as { operation?: string; area?: string }
  const basicId = readBasicId(request.headers.authorization)
  const claims = readClaims(request.headers.authorization)
  const form = body && contract !== 'nevisfido' ? readForm(body) : undefined
  const context = body && contract === 'nevisfido' ? readContext(body) : undefined
  const holder = typeof claims?.sub === 'string' ? claims.sub : undefined
  const account = form?.get('username') ?? (contract === 'idscan' ? holder : undefined) ?? undefined
  const isMachine = contract === 'nevisfido' || contract === 'service'
  return {
    contract,
    operation: params.operation ?? params.area ?? request.routeOptions.config?.operation,
    method: request.method,
    path: pathOf(url),
    app: contract === 'bws' ? (basicId ?? (typeof claims?.app === 'string' ? claims.app : undefined)) : undefined,
    account: contract === 'idscan' ? account : undefined,
    client: isMachine ? (basicId ?? form?.get('client_id') ?? holder) : undefined,
    username: contract === 'idscan' ? account : context,
  }
}

function readBasicId(authorization = ''): string | undefined {
  const encoded = /^basic +([\w+/=-]+)$/i.exec(authorization.trim())?.[1]
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString().split(':', 1)[0]
}

function readClaims(authorization = ''): Readonly<Record<string, unknown>> | undefined {
  const token = authorization.trim().split(/ +/).at(-1)
  return token ? decodeJws(token)?.claims : undefined
}

/** Names match in any case, as the contracts read them (I5). */
function readForm(body: Buffer): Map<string, string> {
  return new Map([...new URLSearchParams(body.toString())].map(([name, value]) => [name.toLowerCase(), value]))
}

/** Returns the user of a nevisFIDO context, which is JSON text in JSON. */
function readContext(body: Buffer): string | undefined {
  try {
    const { context } = JSON.parse(body.toString()) as { context?: string }
    const { username } = JSON.parse(context ?? '{}') as { username?: unknown }
    return typeof username === 'string' ? username : undefined
  } catch {
    return undefined
  }
}
