import { describe, expect, test } from 'vitest'
import { createRowIndex, type RowIndex } from '../../../src/store/sqlite/row-index.ts'

const SEGMENT = 65_536

/** Every row that may be meant, in the order in which they are looked at. */
function candidates(index: RowIndex, digest: string): number[] {
  const rows: number[] = []
  index.find(digest, (row) => void rows.push(row))
  return rows
}

describe('the index of rows', () => {
  test('names each row under both of its digests, whatever else there is', () => {
    const index = createRowIndex()
    const rows = Array.from({ length: 3 * SEGMENT }, (_, at) => at + 1)
    for (const row of rows) index.add(row, `token ${row}`, `session ${row}`)
    const lost = rows.filter(
      (row) => !candidates(index, `token ${row}`).includes(row) || !candidates(index, `session ${row}`).includes(row),
    )
    expect(lost).toEqual([])
  })

  test('seldom names a row that is not meant', () => {
    const index = createRowIndex()
    for (let row = 1; row <= 3 * SEGMENT; row++) index.add(row, `token ${row}`, `session ${row}`)
    const named = Array.from({ length: 10_000 }, (_, at) => candidates(index, `other ${at}`).length)
    expect(named.reduce((sum, count) => sum + count)).toBeLessThan(200)
  })

  test('names rows of the latest segment first, and stops at the one that is meant', () => {
    const index = createRowIndex()
    for (const row of [1, 2, SEGMENT, 5 * SEGMENT]) index.add(row, 'same', 'other')
    expect(candidates(index, 'same')).toEqual([5 * SEGMENT, SEGMENT, 1, 2])
    const seen: number[] = []
    const found = index.find('same', (row) => {
      seen.push(row)
      return row === SEGMENT ? 'it' : undefined
    })
    expect([found, seen]).toEqual(['it', [5 * SEGMENT, SEGMENT]])
  })

  test('takes any row number, and any text', () => {
    const index = createRowIndex()
    const rows = [7, SEGMENT, 2 ** 40 + 7, Number.MAX_SAFE_INTEGER]
    for (const row of rows) index.add(row, `${row}`, '')
    for (const row of rows) expect(candidates(index, `${row}`)).toEqual([row])
    expect(candidates(index, '')).toEqual(rows.toReversed())
    expect(candidates(index, '漢字')).toEqual([])
  })

  test('forgets segments without rows, and no other', () => {
    const index = createRowIndex()
    for (const row of [5, SEGMENT + 5, 2 * SEGMENT + 5]) index.add(row, 'same', `${row}`)
    const asked: [number, number][] = []
    index.forget((first, last) => {
      asked.push([first, last])
      return first !== SEGMENT
    })
    expect(asked).toEqual([2, 1, 0].map((at) => [at * SEGMENT, (at + 1) * SEGMENT - 1]))
    expect(candidates(index, 'same')).toEqual([2 * SEGMENT + 5, 5])
    index.add(2 * SEGMENT + 6, 'same', 'new')
    expect(candidates(index, 'same')).toEqual([2 * SEGMENT + 5, 2 * SEGMENT + 6, 5])
  })
})
