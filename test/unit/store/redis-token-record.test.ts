import { expect, test } from 'vitest'
import { formatNewRecord, parseRecord } from '../../../src/store/redis/token-record.ts'
import { createRecord } from '../../support/records.ts'

const record = createRecord()
const text = formatNewRecord(record)

test('parses what it formats', () => {
  expect(parseRecord(record.tokenDigest, text)).toStrictEqual(record)
})

test.each([
  ['empty text', ''],
  ['text before the record', `- ${text}`],
  ['a line before the record', `-\n${text}`],
  ['text after the record', `${text}\n`],
  ['a second outcome', `${text}\n{}\n{}`],
  ['an outcome that is no object', `${text}\nsettled`],
])('rejects %s', (_, wrong) => {
  expect(() => parseRecord('digest', wrong)).toThrow('the value of trimint:record:digest is not a token record')
})
