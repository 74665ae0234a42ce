import { UafError } from '../failure.ts'
import { COMPOSITE, isUnsupported, TAG } from './tags.ts'

/** An element of UAFV1TLV: tag and length, each a little-endian UINT16, and the value (U18). */
export interface Element {
  readonly tag: number
  /** The whole element, tag and length included. */
  readonly bytes: Buffer
  readonly value: Buffer
  /** The elements of a composite value; empty for other tags. */
  readonly children: readonly Element[]
}

const HEADER_BYTES = 4

/**
 * Parses an assertion: one element, and nothing after it.
 *
 * @throws UafError `bad_assertion` where lengths do not add up; a fatal one for a critical tag that is not supported.
 */
export function parseTlv(bytes: Buffer): Element {
  const [element, ...others] = parseElements(bytes)
  if (!element || others.length > 0) throw new UafError('bad_assertion')
  requireSupported(element)
  return element
}

function parseElements(bytes: Buffer): Element[] {
  const elements: Element[] = []
  let rest = bytes
  while (rest.length > 0) {
    if (rest.length < HEADER_BYTES) throw new UafError('bad_assertion')
    const tag = rest.readUInt16LE(0)
    const end = HEADER_BYTES + rest.readUInt16LE(2)
    if (end > rest.length) throw new UafError('bad_assertion')
    const value = rest.subarray(HEADER_BYTES, end)
    const children = (tag & COMPOSITE) === 0 ? [] : parseElements(value)
    elements.push({ tag, bytes: rest.subarray(0, end), value, children })
    rest = rest.subarray(end)
  }
  return elements
}

/** After parsing, so that broken lengths are never a critical tag. */
function requireSupported({ tag, children }: Element): void {
  if (isUnsupported(tag)) throw new UafError('bad_assertion', { isFatal: true })
  for (const child of children) requireSupported(child)
}

/**
 * Returns the child with a tag, or undefined.
 *
 * @throws UafError `bad_assertion` for a second one: only certificates and extensions repeat.
 */
export function findChild(parent: Element, tag: number): Element | undefined {
  const [child, ...others] = parent.children.filter((candidate) => candidate.tag === tag)
  if (others.length > 0) throw new UafError('bad_assertion')
  return child
}

/** Returns the child with a tag. @throws UafError `bad_assertion` unless there is exactly one. */
export function requireChild(parent: Element, tag: number): Element {
  const child = findChild(parent, tag)
  if (!child) throw new UafError('bad_assertion')
  return child
}

/** Returns the values of all certificates. */
export function certificatesOf(attestation: Element): Buffer[] {
  return attestation.children.filter(({ tag }) => tag === TAG.ATTESTATION_CERT).map(({ value }) => value)
}
