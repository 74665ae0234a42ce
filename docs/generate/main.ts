import { readFileSync, writeFileSync } from 'node:fs'
import { renderPages } from './pages.ts'

// npm run docs writes the pages; npm run docs:check fails if a page is stale.
const root = new URL('../../', import.meta.url)

for (const [path, text] of renderPages()) {
  const file = new URL(path, root)
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    process.stderr.write(`${path} is stale; run npm run docs\n`)
    process.exitCode = 1
  }
}
