import { parse } from 'content-type'
import type { FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import type { Negotiation } from './options.ts'

/** The media types of a service. */
export interface MediaTypes {
  readonly consumes: string
  readonly produces: string
  /** Whether Content-Type must carry `charset=UTF-8`, or may (N4; redeem and status). */
  readonly charset: 'required' | 'optional'
}

/** Bounds of the cache: clients send the same few headers again and again. */
const MAX_CACHED_HEADERS = 100
const MAX_CACHED_LENGTH = 200

interface MediaTypeMatcher {
  /** Whether Content-Type is what the service consumes. */
  acceptsContentType(request: FastifyRequest): boolean
  /** Whether Accept names what the service produces. */
  canSatisfyAccept(request: FastifyRequest): boolean
}

/** Creates the matcher of a service's media types. */
export function createMediaTypeMatcher(mediaTypes: MediaTypes, negotiation: Negotiation): MediaTypeMatcher {
  const matchesContentType = cache((header) => isConsumed(header, mediaTypes, negotiation))
  const matchesAccept = cache((header) => isProduced(header, mediaTypes, negotiation))
  return {
    acceptsContentType: ({ headers }) => matchesContentType(headers['content-type']),
    canSatisfyAccept: ({ headers }) => matchesAccept(headers.accept),
  }
}

type HeaderTest = (header: string | undefined) => boolean

function cache(test: HeaderTest): HeaderTest {
  const results = new Map<string | undefined, boolean>()
  return (header) => {
    const cached = results.get(header)
    if (cached !== undefined) return cached
    const result = test(header)
    const isSmall = (header?.length ?? 0) <= MAX_CACHED_LENGTH
    if (isSmall && results.size < MAX_CACHED_HEADERS) results.set(header, result)
    return result
  }
}

/** Parses the media type, so that case, blanks and quotes do not matter (N4). */
function isConsumed(header: string | undefined, { consumes, charset }: MediaTypes, negotiation: Negotiation): boolean {
  if (header === undefined) return false
  const { type, parameters } = parse(header)
  if (type.toLowerCase() !== consumes) return false
  if (parameters.charset === undefined) return charset === 'optional' || negotiation === 'lenient'
  return parameters.charset.toLowerCase() === 'utf-8'
}

/** Returns whether Accept names the type with q > 0 (N5). */
function isProduced(header: string | undefined, { produces }: MediaTypes, negotiation: Negotiation): boolean {
  const negotiator = new Negotiator({ headers: { accept: header } })
  if (negotiation === 'lenient') return negotiator.mediaType([produces]) !== undefined
  return negotiator.mediaTypes().some((type) => type.toLowerCase() === produces)
}
