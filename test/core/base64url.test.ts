import fc from 'fast-check'
import { expect, test } from 'vitest'
import { writeBase64url } from '../../src/core/base64url.ts'

test('is what node:buffer makes of any bytes, written where it was to be and nowhere else', () => {
  const bytes = fc.uint8Array({ maxLength: 300, size: 'max' })
  fc.assert(
    fc.property(bytes, bytes, fc.nat(20), (source, rest, start) => {
      const text = Buffer.from(source).toString('base64url')
      const target = Buffer.alloc(500, '!')
      const end = writeBase64url(Buffer.concat([source, rest]), source.length, target, start)
      expect(target.toString('latin1')).toBe('!'.repeat(start) + text + '!'.repeat(500 - end))
      expect(end).toBe(start + text.length)
    }),
  )
})
