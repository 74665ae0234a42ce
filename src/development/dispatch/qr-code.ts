import { crc32, deflateSync } from 'node:zlib'
import { encodeQR } from 'qr'

/** Bright white on black: a code has to be readable in terminals with light colours too. */
const COLOURS = '\u001b[97;40m'
const RESET = '\u001b[0m'

/** Light modules around the code (ISO/IEC 18004, section 5.3.8). */
const QUIET_ZONE = 4

/** Pixels of a module. */
const SCALE = 4

/** Renders a QR code for a terminal, two rows of modules in each line. A payload takes 69 columns. */
export function renderForTerminal(text: string): string {
  const code = encodeQR(text, 'ascii', { ecc: 'low', border: QUIET_ZONE })
  return code
    .trimEnd()
    .split('\n')
    .map((line) => `${COLOURS}${line}${RESET}`)
    .join('\n')
}

/** Renders a QR code as a PNG image in two colours. */
export function renderPng(text: string): Buffer {
  const modules = encodeQR(text, 'raw', { ecc: 'low', border: QUIET_ZONE })
  const size = modules.length * SCALE
  const rows = modules.flatMap((row) => Array.from({ length: SCALE }, () => encodeRow(row)))
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.writeUInt8(1, 8) // One bit for each pixel, 0 black and 1 white. The other bytes are 0: greyscale, not interlaced.
  return Buffer.concat([
    PNG_SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')

/** Returns a row of pixels after a byte that selects no filter (PNG, section 9.2). */
function encodeRow(modules: readonly boolean[]): Buffer {
  const row = Buffer.alloc(1 + Math.ceil((modules.length * SCALE) / 8))
  for (const [index, isDark] of modules.entries()) {
    if (isDark) continue
    for (let pixel = index * SCALE; pixel < (index + 1) * SCALE; pixel++) {
      const at = 1 + (pixel >> 3)
      row.writeUInt8(row.readUInt8(at) | (0x80 >> (pixel & 7)), at)
    }
  }
  return row
}

/** Returns length, type, data and checksum (PNG, section 5.3). */
function chunk(type: string, data: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type), data])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  checksum.writeUInt32BE(crc32(content))
  return Buffer.concat([length, content, checksum])
}
