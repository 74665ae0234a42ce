import { parse } from 'yaml'

/**
 * Reads trimint.example.yaml with its commented settings in force. `#` in the first column comments a setting out: at the
 * top level the setting follows directly, elsewhere `#` takes the place of the first blank of the indentation.
 */
export function readExample(source: string): unknown {
  const lines = source.split('\n').map((line) => {
    if (/^#[A-Za-z]+:(?= |$)/.test(line)) return line.slice(1)
    return /^# +(- |[A-Za-z]+:(?= |$))/.test(line) ? ` ${line.slice(1)}` : line
  })
  return parse(lines.join('\n'))
}

/** Returns the paths of all keys in an example: `bws.apps[].id`. */
export function keyPathsOf(value: unknown, parent = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((entry) => keyPathsOf(entry, `${parent}[]`))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, nested]) => {
    const path = parent ? `${parent}.${key}` : key
    return [path, ...keyPathsOf(nested, path)]
  })
}

/** Returns the first value of an example at a path such as `bws.apps[].id`. */
export function findExample(value: unknown, path: string): unknown {
  const names = path.replaceAll('[]', '.[]').split('.')
  const search = (node: unknown, [name, ...rest]: readonly string[]): unknown => {
    if (name === undefined) return node
    if (name === '[]') {
      const found = (Array.isArray(node) ? node : []).map((entry) => search(entry, rest))
      return found.find((candidate) => candidate !== undefined)
    }
    return search((node as Readonly<Record<string, unknown>> | undefined)?.[name], rest)
  }
  return search(value, names)
}
