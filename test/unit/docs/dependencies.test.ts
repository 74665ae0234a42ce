import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import extrasJson from '../../../extras/package.json' with { type: 'json' }
import packageJson from '../../../package.json' with { type: 'json' }
import { readLockfile } from '../../support/lockfile.ts'
import { readTable } from '../../support/markdown.ts'

// The page on dependencies lists every package in package.json with its licence. Transitive packages have allowed
// licences only.

const PAGE = 'docs/dependencies.md'

const licenceOf = (path: string): unknown => {
  const { license } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8')) as { license?: unknown }
  return license
}

const plain = (cell = ''): string => cell.replaceAll('`', '')

test.each([
  ['At run time', packageJson.dependencies],
  ['Optional', packageJson.peerDependencies],
  ['For development', packageJson.devDependencies],
])(
  '%s: lists every package in the order of package.json, with the licence of the installed version',
  (heading, asked) => {
    const lines = readTable(PAGE, heading).map(([name, , licence]) => [plain(name), licence])
    expect(lines).toEqual(Object.keys(asked).map((name) => [name, licenceOf(`node_modules/${name}`)]))
  },
)

test('gives a clone and the container image every optional package', () => {
  expect(extrasJson.dependencies).toEqual(packageJson.peerDependencies)
  expect(Object.keys(packageJson.peerDependenciesMeta)).toEqual(Object.keys(packageJson.peerDependencies))
})

test('gives a reason for every package', () => {
  const lines = ['At run time', 'Optional', 'For development'].flatMap((heading) => readTable(PAGE, heading))
  expect(lines.filter(([, why = '']) => why.length < 10)).toEqual([])
})

test('allows only listed licences in the runtime tree', () => {
  const allowed = readTable(PAGE, 'Licences that the runtime tree may have').map(([licence]) => licence)
  const runtime = Object.entries(readLockfile('package-lock.json')).filter(
    ([path, { dev, link }]) => path.startsWith('node_modules/') && !dev && !link,
  )
  expect(runtime.length).toBeGreaterThan(Object.keys(packageJson.dependencies).length)
  // Packages for other platforms are in the lockfile only.
  const licences = runtime.map(([path, { license }]) => [path, existsSync(path) ? licenceOf(path) : license])
  expect(licences.filter(([, licence]) => !allowed.includes(String(licence)))).toEqual([])
  expect(new Set(licences.map(([, licence]) => licence))).toEqual(new Set(allowed))
})
