import { expect, test } from 'vitest'
import { decodeUtf8 } from '../../../src/config/utf8.ts'

test('returns text, with its byte order mark', () => {
  expect(decodeUtf8(Buffer.from('\ufeffpässword\n'))).toEqual({ text: '\ufeffpässword\n' })
  expect(decodeUtf8(new Uint8Array())).toEqual({ text: '' })
})

test.each([
  ['Latin-1', [0xe4], 1],
  ['a truncated character', [0x61, 0x0a, 0xc3], 2],
  ['an encoded surrogate', [0x0a, 0x0a, 0xed, 0xa0, 0x80, 0x0a], 3],
  ['an overlong form', [0xc0, 0xaf], 1],
  ['UTF-16', [0xff, 0xfe, 0x61, 0x00], 1],
  ['a character cut by a line break', [0x61, 0x0a, 0xe2, 0x82, 0x0a, 0xac], 2],
])('returns the first invalid line: %s', (_what, bytes, invalidLine) => {
  expect(decodeUtf8(Uint8Array.from(bytes))).toEqual({ invalidLine })
})
