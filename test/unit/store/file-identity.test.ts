import { copyFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { watchFiles } from '../../../src/store/sqlite/file-identity.ts'
import { createStoreFolder } from '../../support/stores.ts'

const folder = createStoreFolder('files')
afterAll(() => rmSync(folder, { recursive: true }))

const SUFFIXES = ['', '-wal', '-shm']

let made = 0
function createFiles(): string {
  const path = join(folder, `${made++}.db`)
  for (const suffix of SUFFIXES) writeFileSync(path + suffix, '')
  return path
}

test('finds the same files in their places, whatever is written to them', async () => {
  const path = createFiles()
  const isInPlace = await watchFiles(path)
  for (const suffix of SUFFIXES) writeFileSync(path + suffix, 'more')
  expect(await isInPlace()).toBe(true)
})

test.each(SUFFIXES)('notices that trimint.db%s was deleted', async (suffix) => {
  const path = createFiles()
  const isInPlace = await watchFiles(path)
  rmSync(path + suffix)
  expect(await isInPlace()).toBe(false)
})

test.each(SUFFIXES)('notices that trimint.db%s was replaced by a copy', async (suffix) => {
  const path = createFiles()
  const isInPlace = await watchFiles(path)
  copyFileSync(path + suffix, `${path}-copy`)
  renameSync(`${path}-copy`, path + suffix)
  expect(await isInPlace()).toBe(false)
})

test('notices a file that was not there before', async () => {
  const path = join(folder, 'new.db')
  const isInPlace = await watchFiles(path)
  expect(await isInPlace()).toBe(true)
  writeFileSync(path, '')
  expect(await isInPlace()).toBe(false)
})

test('counts a path below a file as missing', async () => {
  const isInPlace = await watchFiles(join(createFiles(), 'trimint.db'))
  expect(await isInPlace()).toBe(true)
})

test('rejects where a path cannot be followed', async () => {
  const path = createFiles()
  const isInPlace = await watchFiles(path)
  rmSync(path)
  symlinkSync(path, path)
  await expect(isInPlace()).rejects.toThrow('ELOOP')
})
