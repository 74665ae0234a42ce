import { describe, expect, test } from 'vitest'
import { faultsOf, type Locked } from '../support/lockfile.ts'

const PATH = 'node_modules/a/node_modules/@scope/b'
const GOOD: Locked = { version: '1.0.0', integrity: `sha512-${'x'.repeat(86)}==` }

const faults = (locked: Locked, scripts: string[] = []) => faultsOf({ '': {}, [PATH]: locked }, scripts)

describe('accepts a package', () => {
  test.each<[string, Locked]>([
    ['without an address, from the configured registry', GOOD],
    ['from the public registry', { ...GOOD, resolved: 'https://registry.npmjs.org/@scope/b/-/b-1.0.0.tgz' }],
  ])('%s', (_name, locked) => {
    expect(faults(locked)).toEqual([])
  })

  test('with an install script that is allowed', () => {
    expect(faults({ ...GOOD, hasInstallScript: true }, ['@scope/b'])).toEqual([])
  })
})

test('accepts a link to a workspace, and to no other folder', () => {
  const lockfile = { extras: { version: '1.0.0' }, 'node_modules/extras': { resolved: 'extras', link: true } }
  expect(faultsOf(lockfile, [], ['extras'])).toEqual([])
  expect(faultsOf(lockfile, [], ['other'])).not.toEqual([])
})

describe('rejects a package', () => {
  test.each<[string, Locked, string]>([
    ['without integrity', { version: '1.0.0' }, 'integrity undefined'],
    ['with SHA-1', { ...GOOD, integrity: 'sha1-xxxxxxxxxxxxxxxxxxxxxxxxxxx=' }, 'integrity sha1-'],
    ['with several hashes', { ...GOOD, integrity: `${GOOD.integrity} ${GOOD.integrity}` }, 'integrity sha512-'],
    [
      'from another host',
      { ...GOOD, resolved: 'https://registry.example.com/b.tgz' },
      'resolved from https://registry.ex',
    ],
    [
      'from a host whose name begins with the registry’s',
      { ...GOOD, resolved: 'https://registry.npmjs.org.example.com/b' },
      'resolved',
    ],
    ['without TLS', { ...GOOD, resolved: 'http://registry.npmjs.org/b.tgz' }, 'resolved from http:'],
    ['from git', { ...GOOD, resolved: 'git+ssh://git@github.com/a/b.git#1' }, 'resolved from git+ssh:'],
    ['from a file', { ...GOOD, resolved: 'file:../b.tgz' }, 'resolved from file:'],
    ['that is a link', { ...GOOD, link: true }, 'not from the registry'],
    ['with an install script that is not allowed', { ...GOOD, hasInstallScript: true }, 'an install script'],
  ])('%s', (_name, locked, fault) => {
    expect(faults(locked)).toEqual([expect.stringContaining(`${PATH}: ${fault}`)])
  })
})
