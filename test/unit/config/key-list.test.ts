import { describe, expect, test } from 'vitest'
import { formatKeyList, readKeyList } from '../../../src/config/key-list.ts'

const NEW = { secret: 'NEW', id: 'new', created: '2026-01-02' }

interface Case {
  readonly what: string
  readonly before: string
  readonly appended: string
  /** With the last key in the first place. */
  readonly moved: string
}

const cases: Case[] = [
  {
    what: 'keys on several lines, with comments and blanks',
    before: [
      '# everything',
      'publicUrl:   https://t.example.com   # ours',
      '',
      'keys:',
      '  # made by Anna',
      '  - secret:  "A"   # the first',
      "    id: 'a'",
      '',
      '  # made by Ben,',
      '  # in spring',
      '  - { secret: B } # the second',
      '',
      '# contracts',
      'bws: { apps: [ ] }',
      '',
    ].join('\n'),
    appended: [
      '# everything',
      'publicUrl:   https://t.example.com   # ours',
      '',
      'keys:',
      '  # made by Anna',
      '  - secret:  "A"   # the first',
      "    id: 'a'",
      '',
      '  # made by Ben,',
      '  # in spring',
      '  - { secret: B } # the second',
      '  - { secret: "NEW", id: "new", created: "2026-01-02" }',
      '',
      '# contracts',
      'bws: { apps: [ ] }',
      '',
    ].join('\n'),
    moved: [
      '# everything',
      'publicUrl:   https://t.example.com   # ours',
      '',
      'keys:',
      '  # made by Ben,',
      '  # in spring',
      '  - { secret: B } # the second',
      '',
      '  # made by Anna',
      '  - secret:  "A"   # the first',
      "    id: 'a'",
      '',
      '# contracts',
      'bws: { apps: [ ] }',
      '',
    ].join('\n'),
  },
  {
    what: 'dashes that are not indented, at the end of a file without a last line break',
    before: 'keys:\n- secret: A\n  id: a\n- secret: B\n- secret: C\n  id: c',
    appended:
      'keys:\n- secret: A\n  id: a\n- secret: B\n- secret: C\n  id: c\n- secret: "NEW"\n  id: "new"\n  created: "2026-01-02"',
    moved: 'keys:\n- secret: C\n  id: c\n- secret: A\n  id: a\n- secret: B',
  },
  {
    what: 'a dash on a separate line, and text on several lines',
    before: 'keys:\n  -\n    secret: A\n  - secret: |-\n      B\nbws: false\n',
    appended:
      'keys:\n  -\n    secret: A\n  - secret: |-\n      B\n  - secret: "NEW"\n    id: "new"\n    created: "2026-01-02"\nbws: false\n',
    moved: 'keys:\n  - secret: |-\n      B\n  -\n    secret: A\nbws: false\n',
  },
  {
    what: 'CRLF',
    before: 'keys:\r\n  - secret: A\r\n  - secret: B\r\nbws: false\r\n',
    appended:
      'keys:\r\n  - secret: A\r\n  - secret: B\r\n  - secret: "NEW"\r\n    id: "new"\r\n    created: "2026-01-02"\r\nbws: false\r\n',
    moved: 'keys:\r\n  - secret: B\r\n  - secret: A\r\nbws: false\r\n',
  },
  {
    what: 'braces and brackets',
    before: 'keys: [{ secret: A }, {secret: B}, ] # two\nbws: false',
    appended:
      'keys: [{ secret: A }, {secret: B}, { secret: "NEW", id: "new", created: "2026-01-02" }, ] # two\nbws: false',
    moved: 'keys: [{secret: B}, { secret: A }, ] # two\nbws: false',
  },
  {
    what: 'JSON',
    before: '{"keys":[{"secret":"A"},{"secret":"B"}],"bws":false}',
    appended:
      '{"keys":[{"secret":"A"},{"secret":"B"}, { "secret": "NEW", "id": "new", "created": "2026-01-02" }],"bws":false}',
    moved: '{"keys":[{"secret":"B"},{"secret":"A"}],"bws":false}',
  },
]

describe.each(cases)('$what', ({ before, appended, moved }) => {
  test('gains a key and keeps every other byte', () => {
    expect(readKeyList(before).append(NEW)).toBe(appended)
    const { keys } = readKeyList(appended)
    expect(keys.at(-1)).toEqual(NEW)
    expect(keys.slice(0, -1)).toEqual(readKeyList(before).keys)
  })

  test('moves its last key to the front with the comments above it', () => {
    const { keys, moveFirst } = readKeyList(before)
    expect(moveFirst(keys.length - 1)).toBe(moved)
    expect(readKeyList(moved).keys).toEqual([keys.at(-1), ...keys.slice(0, -1)])
  })
})

test('moves a key from the middle', () => {
  const moved = readKeyList('keys:\n  - secret: A\n  # B\n  - secret: B\n  - secret: C\n').moveFirst(1)
  expect(moved).toBe('keys:\n  # B\n  - secret: B\n  - secret: A\n  - secret: C\n')
})

test('moves a key with the comment inside it', () => {
  const moved = readKeyList('keys:\n  - secret: A\n    # of A\n  - secret: B\n').moveFirst(1)
  expect(moved).toBe('keys:\n  - secret: B\n  - secret: A\n    # of A\n')
})

test.each([
  ['a key that is an alias', 'x: &k { secret: A }\nkeys:\n  - *k\n'],
  ['a list that is an alias', 'x: &k [{ secret: A }]\nkeys: *k\n'],
])('does not edit %s', (_what, source) => {
  const { keys, append, moveFirst } = readKeyList(source)
  expect(keys).toEqual([{ secret: 'A' }])
  expect([append(NEW), moveFirst(0)]).toEqual([undefined, undefined])
})

test('formats a list as YAML that reads back, with quoted templates', () => {
  const keys = [{ secret: '${KEY}', id: 'a b: #c' }, NEW]
  const text = formatKeyList(keys)
  expect(text).toContain('  - secret: "${KEY}"\n    id: "a b: #c"\n')
  expect(readKeyList(text).keys).toEqual(keys)
})
