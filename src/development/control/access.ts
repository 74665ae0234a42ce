import type { IncomingHttpHeaders } from 'node:http'
import { isIPv4 } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { ControlConfiguration } from '../../config/schema.ts'
import type { Clock } from '../../core/clock.ts'
import { matchSecret } from '../../core/crypto/secrets.ts'
import { ControlError } from './errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Served without `control.token`. */
    needsNoToken?: boolean
  }
}

export interface AccessOptions {
  readonly settings: Pick<ControlConfiguration, 'token' | 'hosts'>
  readonly publicUrl: () => string
  readonly clock: Clock
}

/**
 * Creates a check that keeps web pages of other origins out (L3). A browser always sends `Origin` or `Sec-Fetch-Site`
 * with what such a page requests, and a rebound name of an attacker in `Host`.
 *
 * @returns a function that throws a ControlError for a request that may not use the control API.
 */
export function createAccessCheck({ settings, publicUrl, clock }: AccessOptions): (request: FastifyRequest) => void {
  const { token, hosts } = settings
  const slots = token && [{ digest: token, notAfter: Number.POSITIVE_INFINITY }]

  function isAllowedHost(host: string): boolean {
    const name = hostnameOf(host)
    if (name === undefined) return false
    return isLoopback(name) || name === hostnameOf(new URL(publicUrl()).host) || hosts.map(hostnameOf).includes(name)
  }

  return ({ headers, protocol, routeOptions }) => {
    const { host = '', origin, authorization = '' } = headers
    const site = headers['sec-fetch-site']
    const isOwn =
      origin === undefined || isSameOrigin(origin, `${protocol}://${host}`) || isSameOrigin(origin, publicUrl())
    // `none` is what a person typed into the address bar.
    if (!isOwn || (site !== undefined && site !== 'same-origin' && site !== 'none')) {
      throw new ControlError(403, 'forbidden', 'a page of another origin; expected no Origin, or this server’s own')
    }
    if (slots) {
      if (routeOptions.config.needsNoToken) return
      const given = /^bearer +(.+)$/i.exec(authorization.trim())?.[1] ?? ''
      if (matchSecret(given, slots, clock()) !== undefined) return
      throw new ControlError(
        401,
        'unauthorized',
        'no or wrong token; expected Authorization: Bearer with control.token',
        {
          'www-authenticate': 'Bearer realm="Trimint control"',
        },
      )
    }
    if ([host, ...forwardedHosts(headers)].every(isAllowedHost)) return
    const description =
      'unknown Host; expected a loopback address, localhost, the host of publicUrl, or one of control.hosts'
    throw new ControlError(403, 'forbidden', description)
  }
}

/** Returns the names under which proxies were asked, such as one that replaces `Host` by a loopback address (RFC 7239). */
function forwardedHosts({ forwarded = '', 'x-forwarded-host': given }: IncomingHttpHeaders): string[] {
  const names = [given ?? []].flat().flatMap((list) => list.split(',').map((name) => name.trim()))
  return [...names, ...forwarded.matchAll(/\bhost="?([^";,\s]*)/gi).map(([, name = '']) => name)]
}

/** Returns the name in `Host`, without its port, as URLs spell it. */
function hostnameOf(host: string): string | undefined {
  const url = `http://${host}`
  if (!/^[\w.:[\]-]+$/.test(host) || !URL.canParse(url)) return undefined
  return new URL(url).hostname.replace(/\.$/, '')
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '[::1]' || (isIPv4(name) && name.startsWith('127.'))
}

function isSameOrigin(origin: string, url: string): boolean {
  return URL.canParse(origin) && URL.canParse(url) && new URL(origin).origin === new URL(url).origin
}
