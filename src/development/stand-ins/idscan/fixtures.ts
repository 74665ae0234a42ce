import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '../problem.ts'

/**
 * Reads a JSON file of the folder `idscan.fixtures` (S14), at every use: a change takes effect at once.
 *
 * @param kind what the file has to contain.
 * @returns undefined without the folder or the file.
 * @throws Problem (503) that names an unusable file.
 */
export async function readFixture(
  folder: string | undefined,
  name: string,
  kind: 'list' | 'object' = 'object',
): Promise<unknown> {
  if (folder === undefined) return undefined
  const refuse = (failure: string) =>
    new Problem(503, `The file ${name} in idscan.fixtures ${failure}; expected JSON text in UTF-8: one ${kind}.`)
  try {
    const json: unknown = JSON.parse(await readFile(join(folder, name), 'utf8'))
    if (typeof json === 'object' && json !== null && Array.isArray(json) === (kind === 'list')) return json
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw refuse(error instanceof SyntaxError ? 'is not JSON' : `cannot be read (${code})`)
  }
  throw refuse('has other JSON')
}
