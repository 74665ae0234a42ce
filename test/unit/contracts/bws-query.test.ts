import { expect, test } from 'vitest'
import { bwsTokenQueryParser } from '../../../src/contracts/bws/schema.ts'

const query = { id: 'app', bcid: 'bws.1.1' }

// A pattern for trailing blanks would take hours for this text.
test('B16: reads traits with millions of blanks inside a word as one unknown trait', () => {
  const { error } = bwsTokenQueryParser.safeParse({ ...query, traits: `Fa${' '.repeat(5_000_000)}ce` })
  expect(error?.issues).toHaveLength(1)
})

test('B16: reports one fault for a list of many unknown traits', () => {
  const { error } = bwsTokenQueryParser.safeParse({ ...query, traits: ','.repeat(1000) })
  expect(error?.issues).toHaveLength(1)
})

test('B16: ignores blanks around a trait', () => {
  const { data } = bwsTokenQueryParser.safeParse({ ...query, traits: '  face ,Voice   ' })
  expect(data?.traits).toEqual(['Face', 'Voice'])
})
