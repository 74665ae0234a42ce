import { readFileSync, writeFileSync } from 'node:fs'
import { createControlOpenApi } from './control.ts'
import { createOpenApi } from './document.ts'

// `npm run openapi` writes the documents. With --check, fails when a document in the repository is outdated.
for (const [name, create] of [
  ['openapi.json', createOpenApi],
  ['control.json', createControlOpenApi],
] as const) {
  const file = new URL(name, import.meta.url)
  const document = create()
  if (!process.argv.includes('--check')) {
    writeFileSync(file, document)
  } else if (readFileSync(file, 'utf8') !== document) {
    process.stderr.write(`openapi/${name} is outdated; run npm run openapi\n`)
    process.exitCode = 1
  }
}
