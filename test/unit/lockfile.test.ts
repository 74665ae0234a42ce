import { describe, expect, test } from 'vitest'
import { faultsOf, type Locked } from '../support/lockfile.ts'

const PATH = 'node_modules/a/node_modules/@scope/b'
const GOOD: Locked = { version: '1.0.0', integrity: `sha512-${'x'.repeat(86)}==` }

const faults = (locked: Locked, scripts: string[] = []) => faultsOf({ '': {}, [PATH]: locked }, scripts)

describe('a lockfile is taken', () => {
  test.each<[string, Locked]>([
    ['that names no address: the configured registry is asked', GOOD],
    ['of the public registry', { ...GOOD, resolved: 'https://registry.npmjs.org/@scope/b/-/b-1.0.0.tgz' }],
  ])('%s', (_name, locked) => {
    expect(faults(locked)).toEqual([])
  })

  test('with an install script that is named', () => {
    expect(faults({ ...GOOD, hasInstallScript: true }, ['@scope/b'])).toEqual([])
  })
})

describe('a lockfile is refused', () => {
  test.each<[string, Locked, string]>([
    ['without integrity', { version: '1.0.0' }, 'integrity undefined'],
    ['with SHA-1', { ...GOOD, integrity: 'sha1-xxxxxxxxxxxxxxxxxxxxxxxxxxx=' }, 'integrity sha1-'],
    ['with a choice of hashes', { ...GOOD, integrity: `${GOOD.integrity} ${GOOD.integrity}` }, 'integrity sha512-'],
    [
      'of another host',
      { ...GOOD, resolved: 'https://registry.example.com/b.tgz' },
      'resolved from https://registry.ex',
    ],
    ['of a host that begins like it', { ...GOOD, resolved: 'https://registry.npmjs.org.example.com/b' }, 'resolved'],
    ['without TLS', { ...GOOD, resolved: 'http://registry.npmjs.org/b.tgz' }, 'resolved from http:'],
    ['of git', { ...GOOD, resolved: 'git+ssh://git@github.com/a/b.git#1' }, 'resolved from git+ssh:'],
    ['of a file', { ...GOOD, resolved: 'file:../b.tgz' }, 'resolved from file:'],
    ['of a link', { ...GOOD, link: true }, 'not from the registry'],
    ['with an install script that nobody named', { ...GOOD, hasInstallScript: true }, 'an install script'],
  ])('%s', (_name, locked, fault) => {
    expect(faults(locked)).toEqual([expect.stringContaining(`${PATH}: ${fault}`)])
  })
})
