/** What the bytes of an image say about it. */
export interface Image {
  readonly format: 'png' | 'jpeg'
  /** In pixels. */
  readonly width: number
  readonly height: number
}

/** Why a PNG or JPEG is unusable. */
export type ImageFault = 'TruncatedImage' | 'EmptyImage'

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
const JPEG_START = Buffer.of(0xff, 0xd8, 0xff)
const JPEG_END = Buffer.of(0xff, 0xd9)

/** Returns the format and size of a PNG or JPEG, or why it is unusable. Undefined for anything else. */
export function inspectImage(bytes: Buffer): Image | ImageFault | undefined {
  if (startsWith(bytes, PNG_SIGNATURE)) return withSize('png', readPngSize(bytes))
  if (startsWith(bytes, JPEG_START)) return withSize('jpeg', readJpegSize(bytes))
  return undefined
}

type Size = readonly [width: number, height: number]

function withSize(format: Image['format'], size: Size | undefined): Image | ImageFault {
  if (!size) return 'TruncatedImage'
  const [width, height] = size
  return width > 0 && height > 0 ? { format, width, height } : 'EmptyImage'
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.subarray(0, prefix.length).equals(prefix)
}

const PNG_CHUNK_OVERHEAD = 12

/** Follows the chunks to IEND (PNG specification, section 5). Undefined where the image ends before. */
function readPngSize(bytes: Buffer): Size | undefined {
  let size: Size | undefined
  let at = PNG_SIGNATURE.length
  while (at + PNG_CHUNK_OVERHEAD <= bytes.length) {
    const length = bytes.readUInt32BE(at)
    const type = bytes.toString('latin1', at + 4, at + 8)
    const next = at + PNG_CHUNK_OVERHEAD + length
    if (next > bytes.length) return undefined
    if (type === 'IHDR' && length >= 8) size = [bytes.readUInt32BE(at + 8), bytes.readUInt32BE(at + 12)]
    if (type === 'IEND') return size
    at = next
  }
  return undefined
}

/** Start of frame, without the markers between them that are tables (ITU-T T.81, table B.1). */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
const START_OF_SCAN = 0xda

/** Follows the segments to the scan, which has to end with EOI (ITU-T T.81, section B.1.1). */
function readJpegSize(bytes: Buffer): Size | undefined {
  let size: Size | undefined
  let at = 2
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] ?? 0
    // Any number of fill bytes may precede a marker.
    if (marker === 0xff) {
      at += 1
      continue
    }
    const length = bytes.readUInt16BE(at + 2)
    if (isFrame(marker) && at + 9 <= bytes.length) size = [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)]
    if (marker === START_OF_SCAN) return bytes.lastIndexOf(JPEG_END) > at ? size : undefined
    at += 2 + length
  }
  return undefined
}
