import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { trackSecretsIn } from './leak-recorder.ts'

/** Runs shell commands of a document, and expects what their comments `# prints …` say, in order. */
export async function runCommands(code: string, url: string): Promise<void> {
  const commands = code.replaceAll('http://127.0.0.1:8080', url)
  const { stdout } = await promisify(execFile)('bash', ['-e', '-o', 'pipefail', '-c', commands], { timeout: 50_000 })
  trackSecretsIn(stdout)
  let rest = stdout
  for (const [, printed = ''] of code.matchAll(/# prints (.+)$/gm)) {
    expect(rest).toContain(printed)
    rest = rest.slice(rest.indexOf(printed) + printed.length)
  }
}

/** Runs TypeScript programs of a document one after the other in one process. Each imports the sources. */
export async function runPrograms(codes: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'trimint-recipes-'))
  try {
    const entry = resolve('src/index.ts')
    const files = codes.map((code, index) => {
      writeFileSync(join(folder, `recipe-${index}.ts`), code.replace("from 'trimint'", `from '${entry}'`))
      return `await import('./recipe-${index}.ts')`
    })
    writeFileSync(join(folder, 'main.mjs'), `${files.join('\n')}\nconsole.log('done')\n`)
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'main.mjs')], { timeout: 110_000 })
    expect(stdout).toBe('done\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}
