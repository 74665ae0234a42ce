import { Problem } from '../problem.ts'

const EXPECTED = 'expected the bytes of a PNG or JPEG, or a data URL such as data:image/png;base64,…'

/**
 * Returns the bytes of an uploaded sample: the body itself, or what a data URL in it holds (RFC 2397). The URL may have
 * quotes around it, as of a JSON text.
 *
 * @throws Problem
 */
export function readSample(body: unknown): Buffer {
  if (!Buffer.isBuffer(body) || body.length === 0) throw new Problem(400, `The body is empty; ${EXPECTED}.`)
  if (!/^\s*"?data:/i.test(body.toString('latin1', 0, 64))) return body
  const text = body.toString('latin1').trim().replace(/^"|"$/g, '')
  const comma = text.indexOf(',')
  const base64 = text.slice(comma + 1)
  const isBase64 = /^data:[^,]{0,200};base64$/i.test(text.slice(0, Math.max(comma, 0)))
  if (!isBase64 || !/^[\w+/-]+={0,2}$/.test(base64)) throw new Problem(400, `The data URL is not base64; ${EXPECTED}.`)
  return Buffer.from(base64, 'base64')
}

/** Returns the error of a body that is neither PNG nor JPEG. */
export function notAnImage(): Problem {
  return new Problem(400, `The body is not an image; ${EXPECTED}.`)
}
