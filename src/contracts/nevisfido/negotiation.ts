import { parse } from 'content-type'
import type { FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'

/** What a service takes and gives. */
export interface MediaTypes {
  readonly takes: string
  readonly gives: string
  /** Whether `charset=UTF-8` has to stand behind what it takes, or may (N4; redeem and status). */
  readonly charset: 'required' | 'optional'
}

/** As the vendor documents it, or as its framework, Spring MVC, does it (N6). */
export type Negotiation = 'strict' | 'lenient'

/** Whether a body is announced as what this service takes: parsed as a media type, so case, blanks and quotes do not matter (N4). */
export function isTaken(request: FastifyRequest, { takes, charset }: MediaTypes, negotiation: Negotiation): boolean {
  const header = request.headers['content-type']
  if (header === undefined) return false
  const { type, parameters } = parse(header)
  const given = parameters.charset
  if (type.toLowerCase() !== takes) return false
  if (given === undefined) return charset === 'optional' || negotiation === 'lenient'
  return given.toLowerCase() === 'utf-8'
}

/** Whether a caller takes what this service gives: it has to name it, with q > 0 (N5). */
export function isGiven({ raw }: FastifyRequest, { gives }: MediaTypes, negotiation: Negotiation): boolean {
  const negotiator = new Negotiator(raw)
  if (negotiation === 'lenient') return negotiator.mediaType([gives]) !== undefined
  return negotiator.mediaTypes().some((type) => type.toLowerCase() === gives)
}
