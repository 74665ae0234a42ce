import { readFileSync, writeFileSync } from 'node:fs'
import { createOpenApi } from './document.ts'

// `npm run openapi` writes the document. With --check, fails when the document in the repository is outdated.
const file = new URL('openapi.json', import.meta.url)
const document = createOpenApi()

if (!process.argv.includes('--check')) {
  writeFileSync(file, document)
} else if (readFileSync(file, 'utf8') !== document) {
  process.stderr.write('openapi/openapi.json is outdated; run npm run openapi\n')
  process.exitCode = 1
}
