import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FidoContext, readContext } from '../../../../src/core/fido/context.ts'
import { FIDO_OPERATIONS, type FidoOperation } from '../../../../src/core/fido/operation.ts'
import { codePoint } from '../../../support/arbitraries.ts'

const POLICIES = new Set(['default', 'high'])

function read(operation: FidoOperation, context: unknown): FidoContext | undefined {
  return readContext(operation, JSON.stringify(context), POLICIES)
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const shown = { contentType: 'text/plain', content: base64('Pay 10 CHF?') }

/** Signature, IHDR and its checksum: 258 × 2 pixels of 8 bits, true colour with alpha, interlaced. */
const PNG = Buffer.from('89504e470d0a1a0a0000000d494844520000010200000002080600000112345678', 'hex')

describe('context', () => {
  test.each([
    '',
    ' ',
    'jeff',
    'null',
    '42',
    '"jeff"',
    '[]',
    '[{"username":"jeff"}]',
    '{"username":"jeff"',
    '{username:1}',
  ])('N10: rejects the context %j', (text) => {
    for (const operation of FIDO_OPERATIONS) expect(readContext(operation, text, POLICIES)).toBeUndefined()
  })

  test('N10: ignores unknown members and white space in a context', () => {
    const text = ' { "channel" : { "a": [1] }, "username" : "jeff", "policies": 3 } '
    expect(readContext('registration', text, POLICIES)).toEqual({ operation: 'registration', username: 'jeff' })
  })
})

describe('the keys to deregister', () => {
  const keyID = Buffer.alloc(32).toString('base64url')
  const dereg = (selection: object) => read('deregistration', { username: 'jeff', ...selection })

  test.each([
    [{}, [{ aaid: '', keyID: '' }]],
    [{ mode: 'username' }, [{ aaid: '', keyID: '' }]],
    [{ mode: 'aaid', aaids: ['F1D0#0001'] }, [{ aaid: 'F1D0#0001', keyID: '' }]],
    [{ mode: 'key', authenticators: [{ aaid: 'F1D0#0001', keyID, more: 1 }] }, [{ aaid: 'F1D0#0001', keyID }]],
  ])('U6: reads %j as %j', (selection, authenticators) => {
    expect(dereg(selection)).toMatchObject({ authenticators })
  })

  test.each([
    { mode: 'all' },
    { mode: 1 },
    { mode: 'aaid' },
    { mode: 'aaid', aaids: [] },
    { mode: 'aaid', aaids: ['F1D0'] },
    { mode: 'key' },
    { mode: 'key', authenticators: [] },
    { mode: 'key', authenticators: [{ aaid: 'F1D0#0001' }] },
    { mode: 'key', authenticators: [{ aaid: 'F1D0#0001', keyID: '' }] },
    { mode: 'key', authenticators: [{ aaid: 'F1D0#0001', keyID: 'AA==' }] },
  ])('U6: rejects %j', (selection) => {
    expect(dereg(selection)).toBeUndefined()
    expect(read('registration', { username: 'jeff', ...selection })).toBeDefined()
  })
})

describe('username', () => {
  test.each(['registration', 'deregistration'] as const)('N10: requires a username for %s', (operation) => {
    expect(read(operation, {})).toBeUndefined()
    expect(read(operation, { username: 'jeff' })).toMatchObject({ operation, username: 'jeff', policy: undefined })
  })

  test('N11: accepts an authentication with and without a username', () => {
    expect(read('authentication', {})).toEqual({ operation: 'authentication' })
    expect(read('authentication', { username: 'jeff' })).toEqual({ operation: 'authentication', username: 'jeff' })
  })

  test.each<[string, unknown]>([
    ['empty', ''],
    ['129 characters', 'j'.repeat(129)],
    ['129 characters outside the basic plane', '😀'.repeat(129)],
    ['null', null],
    ['a number', 42],
    ['true', true],
    ['a list', ['jeff']],
    ['an object', { username: 'jeff' }],
    ['a lone surrogate', 'jeff\ud83d'],
  ])('N10: rejects a username: %s', (_, username) => {
    for (const operation of FIDO_OPERATIONS) expect(read(operation, { username })).toBeUndefined()
  })

  test.each([
    'j',
    'j'.repeat(128),
    '😀'.repeat(128),
    '"jeff"',
    'DOMAIN\\jeff',
    '<script>jeff</script>',
    'jeff\nmiller\r\n\t',
    'Jürg Müller',
    '山田太郎',
    "O'Brien",
    ' jeff ',
    '__proto__',
    '\u0000\u2028',
  ])('N16: preserves the username %j', (username) => {
    for (const operation of FIDO_OPERATIONS) expect(read(operation, { username })?.username).toBe(username)
  })

  test('N16: preserves every username of 1 to 128 characters', () => {
    const name = fc.string({ unit: codePoint, minLength: 1, maxLength: 128 })
    fc.assert(
      fc.property(name, fc.constantFrom(...FIDO_OPERATIONS), (username, operation) => {
        expect(read(operation, { username })?.username).toBe(username)
      }),
    )
  })
})

describe('policy', () => {
  test.each(FIDO_OPERATIONS)('N10: accepts the name of a configured policy for %s', (operation) => {
    expect(read(operation, { username: 'jeff', policy: 'high' })?.policy).toBe('high')
  })

  test.each<[string, unknown]>([
    ['unknown', 'low'],
    ['in another case', 'High'],
    ['empty', ''],
    ['a member of every object', 'constructor'],
    ['null', null],
    ['a list', ['high']],
    ['a policy itself', { accepted: [] }],
  ])('N10: rejects a policy: %s', (_, policy) => {
    for (const operation of FIDO_OPERATIONS) expect(read(operation, { username: 'jeff', policy })).toBeUndefined()
  })
})

describe('transaction', () => {
  const readTransaction = (transaction: unknown) => {
    const context = read('authentication', { transaction })
    return context?.operation === 'authentication' ? context.transaction : undefined
  }

  test.each<[string, string, string]>([
    ['one character', base64('a'), 'a'],
    ['200 characters', base64('a'.repeat(200)), 'a'.repeat(200)],
    ['several lines', base64('Pay\n10 CHF'), 'Pay\n10 CHF'],
    ['base64', 'Pz8/Pj4+', '???>>>'],
    ['base64url', 'Pz8_Pj4-', '???>>>'],
    ['base64 with padding', 'YQ==', 'a'],
    ['base64url without padding', 'YQ', 'a'],
  ])('N10: accepts a transaction text: %s', (_, content, expected) => {
    expect(readTransaction([{ contentType: 'text/plain', content }])).toEqual([
      { contentType: 'text/plain', content: Buffer.from(expected) },
    ])
  })

  test('N10: returns the characteristics of a transaction image from its header', () => {
    expect(readTransaction([shown, { contentType: 'image/png', content: PNG.toString('base64') }])?.[1]).toEqual({
      contentType: 'image/png',
      content: PNG,
      tcDisplayPNGCharacteristics: {
        width: 258,
        height: 2,
        bitDepth: 8,
        colorType: 6,
        compression: 0,
        filter: 0,
        interlace: 1,
      },
    })
  })

  test('N10: leaves unknown members of a transaction out', () => {
    expect(readTransaction([{ ...shown, title: 'Payment' }])).toEqual([
      { contentType: 'text/plain', content: Buffer.from('Pay 10 CHF?') },
    ])
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['text', 'Pay 10 CHF?'],
    ['an object', shown],
    ['an empty list', []],
    ['a list of text', [shown.content]],
    ['a good one and a bad one', [shown, {}]],
    ['without content type', [{ content: shown.content }]],
    ['another content type', [{ ...shown, contentType: 'text/html' }]],
    ['a content type with a parameter', [{ ...shown, contentType: 'text/plain;charset=utf-8' }]],
    ['without content', [{ contentType: 'text/plain' }]],
    ['content that is not a string', [{ ...shown, content: 42 }]],
    ['content that is not base64', [{ ...shown, content: 'Pay 10 CHF?' }]],
    ['base64 of an impossible length', [{ ...shown, content: 'A' }]],
    ['base64 with wrong padding', [{ ...shown, content: 'YQ=' }]],
    ['base64 with a line break', [{ ...shown, content: 'YWFh\nYWFh' }]],
    ['an empty text', [{ ...shown, content: '' }]],
    ['201 characters', [{ ...shown, content: base64('a'.repeat(201)) }]],
    ['a text that is not ASCII', [{ ...shown, content: base64('Zürich') }]],
    ['a text with the first byte beyond ASCII', [{ ...shown, content: Buffer.of(0x80).toString('base64') }]],
    ['an image that is not a PNG', [{ ...shown, contentType: 'image/png' }]],
    ['33 bytes that are not a PNG', [{ contentType: 'image/png', content: Buffer.alloc(33).toString('base64') }]],
    ['a truncated PNG', [{ contentType: 'image/png', content: PNG.subarray(0, 32).toString('base64') }]],
  ])('N10: rejects a transaction for every operation: %s', (_, transaction) => {
    for (const operation of FIDO_OPERATIONS) expect(read(operation, { username: 'jeff', transaction })).toBeUndefined()
  })

  test.each(['registration', 'deregistration'] as const)('N10: leaves a transaction out for %s', (operation) => {
    expect(read(operation, { username: 'jeff', transaction: [shown] })).not.toHaveProperty('transaction')
  })

  test('N10: preserves every byte of a transaction text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200, max: 0x7f }), (content) => {
        const [text] = readTransaction([{ ...shown, content: Buffer.from(content).toString('base64') }]) ?? []
        expect(text?.content).toEqual(Buffer.from(content))
      }),
    )
  })
})

describe('hostile contexts', () => {
  test.each(['{"__proto__":{"username":"jeff"}}', '{"constructor":{"prototype":{"username":"jeff"}}}'])(
    'ignores %s and leaves Object.prototype unchanged',
    (text) => {
      expect(readContext('registration', text, POLICIES)).toBeUndefined()
      expect(readContext('authentication', text, POLICIES)).toEqual({ operation: 'authentication' })
      expect(Object.hasOwn(Object.prototype, 'username')).toBe(false)
    },
  )

  test.each([
    ['an ignored member', 'extra'],
    ['a transaction', 'transaction'],
  ])('parses a context that is nested 100,000 levels deep in %s', (_, member) => {
    const depth = 100_000
    const text = `{"username":"jeff","${member}":${'['.repeat(depth)}${']'.repeat(depth)}}`
    const expected = member === 'extra' ? 'jeff' : undefined
    expect(readContext('registration', text, POLICIES)?.username).toBe(expected)
  })

  test.each(['username', 'policy'])('rejects a %s of a million characters', (member) => {
    expect(read('authentication', { [member]: 'j'.repeat(1_000_000) })).toBeUndefined()
  })

  test.each(['text/plain', 'image/png'])('rejects a %s transaction of a million characters', (contentType) => {
    const transaction = [{ contentType, content: 'A'.repeat(1_000_000) }]
    expect(read('authentication', { transaction })).toBeUndefined()
  })

  test('parses any text without throwing', () => {
    const member = fc.constantFrom('username', 'policy', 'transaction', '__proto__')
    const object = fc.dictionary(member, fc.jsonValue()).map((value) => JSON.stringify(value))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), object), fc.constantFrom(...FIDO_OPERATIONS), (text, operation) => {
        const context = readContext(operation, text, POLICIES)
        if (context) expect(context.operation).toBe(operation)
      }),
    )
  })
})
