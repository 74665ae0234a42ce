import { globSync } from 'node:fs'
import packageJson from '../package.json' with { type: 'json' }
import { faultsOf, readLockfile } from './support/lockfile.ts'

// npm run lockfile fails unless every package comes from the registry and has an integrity hash.

const files = globSync('**/package-lock.json', { exclude: (name) => name === 'node_modules' || name.startsWith('.') })
let packages = 0
let faults = 0
for (const file of files) {
  const lockfile = readLockfile(file)
  packages += Object.keys(lockfile).length - 1
  for (const fault of faultsOf(lockfile, Object.keys(packageJson.allowScripts), packageJson.workspaces)) {
    faults += 1
    process.stderr.write(`${file}: ${fault}\n`)
  }
}
process.stdout.write(`${packages} packages in ${files.join(' and ')}, ${faults} faults\n`)
process.exitCode = faults === 0 && packages > 0 ? 0 : 1
