import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatBcid, parseBcid, parsePartition, partitionOf } from '../../../../src/core/bws/bcid.ts'
import { createChallenges } from '../../../../src/core/bws/challenges.ts'
import { BWS_TASKS, decodeTask, effectiveOptions, encodeTask } from '../../../../src/core/bws/task.ts'
import { BWS_TRAITS, decodeTraits, encodeTraits } from '../../../../src/core/bws/traits.ts'

const options = (maxtries: fc.Arbitrary<number>) =>
  fc.record({
    task: fc.constantFrom(...BWS_TASKS),
    maxtries,
    livedetection: fc.boolean(),
    challenge: fc.boolean(),
    autoenroll: fc.boolean(),
  })

describe('task claim', () => {
  test('decodes every encoded task to its effective options', () => {
    fc.assert(
      fc.property(options(fc.integer({ min: 1, max: 15 })), (asked) => {
        expect(decodeTask(encodeTask(asked))).toEqual(effectiveOptions(asked))
      }),
    )
  })

  test('encodes maxtries from 1 to 15 in the nibble and throws RangeError for anything else', () => {
    const anything = fc.oneof(fc.integer(), fc.double(), fc.integer({ min: -20, max: 40 }))
    fc.assert(
      fc.property(options(anything), (asked) => {
        const valid = Number.isInteger(asked.maxtries) && asked.maxtries >= 1 && asked.maxtries <= 15
        if (valid) expect(encodeTask(asked) & 0x0f).toBe(asked.maxtries)
        else
          expect(() => encodeTask(asked)).toThrow(
            new RangeError('maxtries out of range: expected an integer from 1 to 15'),
          )
      }),
    )
  })

  test('decodes exactly the numbers that encodeTask returns', () => {
    const made = new Set<number>()
    for (const task of BWS_TASKS) {
      for (let flags = 0; flags < 8; flags++) {
        for (let maxtries = 1; maxtries <= 15; maxtries++) {
          const [livedetection, challenge, autoenroll] = [!!(flags & 1), !!(flags & 2), !!(flags & 4)]
          made.add(encodeTask({ task, maxtries, livedetection, challenge, autoenroll }))
        }
      }
    }
    for (let bits = -1; bits <= 0x4000; bits++) expect(decodeTask(bits) !== undefined, `${bits}`).toBe(made.has(bits))
  })
})

test('decodes encoded traits in order and without duplicates', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...BWS_TRAITS)), (traits) => {
      expect(decodeTraits(encodeTraits(traits))).toEqual(BWS_TRAITS.filter((trait) => traits.includes(trait)))
    }),
  )
})

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const storage = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
const separator = fc.constantFrom('.', '/')

describe('BCID', () => {
  test('parses and formats every storage, partition and class id, with either separator', () => {
    fc.assert(
      fc.property(storage, int32, int32, separator, separator, (name, partition, classId, first, second) => {
        const bcid = parseBcid(`${name}${first}${partition}${second}${classId}`)
        expect(bcid).toEqual({ storage: name, partition, classId })
        expect(bcid && formatBcid(bcid)).toBe(`${name}/${partition}/${classId}`)
        expect(bcid && parsePartition(`${name}${first}${partition}`)).toBe(bcid && partitionOf(bcid))
      }),
    )
  })

  test('rejects a number beyond 32 bits instead of wrapping it', () => {
    const beyond = fc.oneof(
      fc.bigInt({ min: 2n ** 31n, max: 2n ** 80n }),
      fc.bigInt({ min: -(2n ** 80n), max: -(2n ** 31n) - 1n }),
    )
    fc.assert(
      fc.property(beyond, int32, (large, small) => {
        expect(parseBcid(`bws.${large}.${small}`)).toBeUndefined()
        expect(parseBcid(`bws.${small}.${large}`)).toBeUndefined()
      }),
    )
  })

  test('throws for no text, and parses what it formats to the same BCID', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z-]+[./]-?[0-9]+[./]-?[0-9]+$/)), (text) => {
        const bcid = parseBcid(text)
        if (bcid) expect(parseBcid(formatBcid(bcid))).toEqual(bcid)
      }),
    )
  })
})

test('creates challenges of the requested size, with movements back and forth on alternating axes, from random bytes alone', () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 15 }), fc.integer({ min: 2, max: 7 }))
  const opposite = { up: 'down', down: 'up', left: 'right', right: 'left' }
  const isVertical = (direction: string | undefined) => direction === 'up' || direction === 'down'
  fc.assert(
    fc.property(sizes, fc.uint8Array({ minLength: 105, maxLength: 105 }), ([rows, length], random) => {
      const randomness = { uuid: () => '', bytes: (count: number) => random.slice(0, count) }
      const challenges = createChallenges(rows, length, randomness)
      expect(challenges).toEqual(createChallenges(rows, length, randomness))
      expect(challenges.map((row) => row.length)).toEqual(Array(rows).fill(length))
      for (const row of challenges) {
        row.forEach((direction, at) => {
          const before = row[at - 1]
          if (before === undefined) return
          if (at % 2 === 1) expect(direction).toBe(opposite[before])
          else expect(isVertical(direction)).not.toBe(isVertical(before))
        })
      }
    }),
  )
})

test('creates each first movement of a challenge with equal probability', () => {
  const firsts = [0, 1, 2, 3].map((byte) => {
    const randomness = { uuid: () => '', bytes: (count: number) => new Uint8Array(count).fill(byte) }
    return createChallenges(1, 2, randomness)[0]?.[0]
  })
  expect(firsts).toEqual(['up', 'down', 'left', 'right'])
})
