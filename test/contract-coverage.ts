import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createOpenApi } from '../openapi/document.ts'

// npm run check:contract-coverage fails unless every row of a contract page is named in the title of a test over real
// HTTP.

/** Maps each part of a contract page to its route in the OpenAPI document; the control API and the stand-ins are not in it. */
const SECTIONS = [
  { page: 'bws', from: /^# /m, to: /^## How the token is used/m, path: '/token' },
  { page: 'bws', from: /^## How the token is used/m, to: /$/, path: '/authz/bws/{operation}' },
  { page: 'idscan', from: /^# /m, to: /^## How the token is used/m, path: '/idscanenterprisesvc/token' },
  { page: 'idscan', from: /^## How the token is used/m, to: /$/, path: '/authz/idscan/{area}' },
  { page: 'nevisfido', from: /^# /m, to: /^## Redeem/m, path: '/nevisfido/token/create/{operation}' },
  { page: 'nevisfido', from: /^## Redeem/m, to: /^## Status/m, path: '/nevisfido/token/redeem/{operation}' },
  { page: 'nevisfido', from: /^## Status/m, to: /$/, path: '/nevisfido/status' },
  { page: 'uaf', from: /^# /m, to: /$/, path: '/nevisfido/uaf/1.1/registration' },
  { page: 'development', from: /^# /m, to: /$/, path: undefined },
  { page: 'stand-ins', from: /^# /m, to: /$/, path: undefined },
]

for (const file of readdirSync(new URL('../docs/contracts', import.meta.url))) {
  if (!SECTIONS.some(({ page }) => `${page}.md` === file))
    throw new Error(
      `docs/contracts/${file}: no route is assigned; expected an entry in SECTIONS (test/contract-coverage.ts)`,
    )
}

const { paths } = JSON.parse(createOpenApi()) as { paths: Record<string, unknown> }
const listed = execFileSync('node_modules/.bin/vitest', ['list', 'test/http', '--json', '--no-static-parse'], {
  maxBuffer: 1 << 28,
  // A file that starts a server outside of its tests keeps the list from ending.
  timeout: 120_000,
})
const names = (JSON.parse(String(listed)) as { name: string }[]).map(({ name }) => name)
const tested = new Set(names.flatMap((name) => name.match(/\b[A-Z][0-9]+\b/g) ?? []))

let rows = 0
let missing = 0
for (const { page, from, to, path } of SECTIONS) {
  const text = readFileSync(new URL(`../docs/contracts/${page}.md`, import.meta.url), 'utf8')
  const section = text.slice(text.search(from), text.search(to))
  const ids = [...section.matchAll(/(?:^\| |\b)([A-Z][0-9]+)(?=\s+\||:)/gm)].map(([, id = '']) => id)
  if (ids.length === 0)
    throw new Error(
      `docs/contracts/${page}.md: no rows found for ${path ?? 'the page'}; expected table rows that start with an id such as B1`,
    )
  if (path !== undefined && !(path in paths)) continue
  rows += ids.length
  for (const id of ids.filter((candidate) => !tested.has(candidate))) {
    missing += 1
    process.stderr.write(`docs/contracts/${page}.md: no test title under test/http contains ${id}\n`)
  }
}
process.stdout.write(`${rows} rows of the contract pages have a route, ${missing} of them have no test\n`)
process.exitCode = missing === 0 ? 0 : 1
