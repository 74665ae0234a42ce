import { parse } from 'content-type'
import type { FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'

/** What a service takes and gives. */
export interface MediaTypes {
  readonly consumes: string
  readonly produces: string
  /** Whether `charset=UTF-8` has to stand behind what it takes, or may (N4; redeem and status). */
  readonly charset: 'required' | 'optional'
}

/** As the vendor documents it, or as its framework, Spring MVC, does it (N6). */
export type Negotiation = 'strict' | 'lenient'

/** How many headers are remembered at most, and how long they may be: callers send the same few again and again. */
const MOST = 100
const LONGEST = 200

/** Whether a request's media types are those of a service. */
export interface MediaTypeMatcher {
  /** Whether a body is announced as what this service takes. */
  acceptsContentType(request: FastifyRequest): boolean
  /** Whether a caller takes what this service gives. */
  canSatisfyAccept(request: FastifyRequest): boolean
}

export function createMediaTypeMatcher(mediaTypes: MediaTypes, negotiation: Negotiation): MediaTypeMatcher {
  const taken = remember((header) => isTaken(header, mediaTypes, negotiation))
  const given = remember((header) => isGiven(header, mediaTypes, negotiation))
  return {
    acceptsContentType: ({ headers }) => taken(headers['content-type']),
    canSatisfyAccept: ({ headers }) => given(headers.accept),
  }
}

/** A header is judged once. */
function remember(judge: (header: string | undefined) => boolean): (header: string | undefined) => boolean {
  const judgements = new Map<string | undefined, boolean>()
  return (header) => {
    const known = judgements.get(header)
    if (known !== undefined) return known
    const judgement = judge(header)
    if (judgements.size < MOST && (header?.length ?? 0) <= LONGEST) judgements.set(header, judgement)
    return judgement
  }
}

/** Parsed as a media type, so case, blanks and quotes do not matter (N4). */
function isTaken(header: string | undefined, { consumes, charset }: MediaTypes, negotiation: Negotiation): boolean {
  if (header === undefined) return false
  const { type, parameters } = parse(header)
  const given = parameters.charset
  if (type.toLowerCase() !== consumes) return false
  if (given === undefined) return charset === 'optional' || negotiation === 'lenient'
  return given.toLowerCase() === 'utf-8'
}

/** It has to be named, with q > 0 (N5). */
function isGiven(header: string | undefined, { produces }: MediaTypes, negotiation: Negotiation): boolean {
  const negotiator = new Negotiator({ headers: { accept: header } })
  if (negotiation === 'lenient') return negotiator.mediaType([produces]) !== undefined
  return negotiator.mediaTypes().some((type) => type.toLowerCase() === produces)
}
