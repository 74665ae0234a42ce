import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isShallow, MAX_JSON_DEPTH } from '../../json-depth.ts'
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
    new Problem(
      503,
      `The file ${name} in idscan.fixtures ${failure}; expected JSON text in UTF-8: one ${kind}, at most ${MAX_JSON_DEPTH} levels deep.`,
    )
  try {
    const text = await readFile(join(folder, name), 'utf8')
    const json: unknown = JSON.parse(text.replace(/^\ufeff/, ''))
    const isKind = typeof json === 'object' && json !== null && Array.isArray(json) === (kind === 'list')
    if (isKind && isShallow(json)) return json
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw refuse(error instanceof SyntaxError ? 'is not JSON' : `cannot be read (${code})`)
  }
  throw refuse('has other JSON')
}
