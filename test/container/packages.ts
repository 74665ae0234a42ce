import { text } from 'node:stream/consumers'

// Compares the packages of the image with its SBOM. Reads the image's node_modules/.package-lock.json from standard input and
// the SBOM's path from the command line; prints the differences and exits with 1 if there are any.

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly link?: boolean }>>
}
interface Sbom {
  readonly components: readonly { readonly group?: string; readonly name: string; readonly version: string }[]
}

const { default: sbom } = (await import(process.argv[2] ?? '', { with: { type: 'json' } })) as { default: Sbom }
const lock = JSON.parse(await text(process.stdin)) as Lock

// Workspaces of this repository are listed too, as folders and as links to them. They hold no code of others.
const workspaces = Object.keys(lock.packages).filter((path) => !path.startsWith('node_modules/'))
const installed = Object.entries(lock.packages)
  .filter(([path, { link }]) => path.startsWith('node_modules/') && !link)
  .map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version}`)
const listed = sbom.components
  .filter(({ name }) => !workspaces.includes(name))
  .map(({ group, name, version }) => `${group ? `${group}/` : ''}${name}@${version}`)
const missing = installed.filter((name) => !listed.includes(name))
// Builds of native packages for other platforms.
const isOptional = (name: string) => /^@(?:node-rs|emnapi|napi-rs|tybys)\//.test(name)
const surplus = listed.filter((name) => !installed.includes(name) && !isOptional(name))
for (const name of missing) process.stderr.write(`not in the SBOM: ${name}\n`)
for (const name of surplus) process.stderr.write(`not in the image: ${name}\n`)
process.stdout.write(`${installed.length} packages\n`)
process.exitCode = missing.length + surplus.length > 0 || installed.length === 0 ? 1 : 0
