import fc from 'fast-check'

/**
 * Generates one character of any plane, surrogates excepted, for `fc.string({ unit })`. fast-check's own `unit:
 * 'binary'` builds its tables for two seconds of processor time in every process that uses it.
 */
export const codePoint = fc
  .oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  .map((code) => String.fromCodePoint(code))
