import { isUtf8 } from 'node:buffer'

const LINE_FEED = 0x0a

/**
 * Decodes UTF-8 strictly: replacement characters would make two different passwords equal. Keeps a byte order mark.
 *
 * @returns the text, or the number of the first invalid line, counted from 1.
 */
export function decodeUtf8(bytes: Uint8Array): { readonly text: string } | { readonly invalidLine: number } {
  if (isUtf8(bytes)) return { text: Buffer.from(bytes).toString('utf8') }
  let [start, line] = [0, 1]
  for (;;) {
    const end = bytes.indexOf(LINE_FEED, start)
    if (end === -1 || !isUtf8(bytes.subarray(start, end))) return { invalidLine: line }
    start = end + 1
    line += 1
  }
}
