import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REFUSAL_REASONS } from '../../../src/http/refusal.ts'

test('docs/audit.md explains every reason there is, and no other', () => {
  const page = readFileSync('docs/audit.md', 'utf8')
  const [, table = ''] = page.split('## Reasons')
  const explained = [...(table.split('## ')[0] ?? '').matchAll(/^\| ((?:`\w+`(?:, )?)+)/gm)].flatMap(([, names = '']) =>
    names.replaceAll('`', '').split(', '),
  )
  expect(explained.toSorted()).toEqual([...REFUSAL_REASONS].toSorted())
})
