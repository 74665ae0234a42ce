import { readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
} from 'yaml'
import type { Variables } from './environment.ts'

/** A place in a file, counted from 1. */
interface Position {
  readonly line: number
  readonly column: number
}

/** Something wrong with the text itself, before any schema looks at it. */
interface TextFault extends Position {
  /** Empty for a fault of the YAML itself. */
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** A YAML file as plain data, with every `${NAME}` and `file:` filled in. */
export interface ConfigurationDocument {
  readonly value: unknown
  readonly faults: TextFault[]
  /** Where a path stands, or the nearest place above it that exists. */
  locate(path: readonly PropertyKey[]): Position
}

/** Reads YAML (1.2, core schema). Faults never repeat the text: it may hold a secret. */
export function readDocument(source: string, variables: Variables): ConfigurationDocument {
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, logLevel: 'error' })
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const positionOf = (node: Node): Position => positionAt(node.range?.[0] ?? 0)

  const faults: TextFault[] = [...document.errors, ...document.warnings].map(({ pos, code }) => ({
    ...positionAt(pos[0]),
    path: [],
    message: YAML_FAULTS[code] ?? `is not valid YAML (${code.toLowerCase().replaceAll('_', ' ')})`,
  }))

  // With a key twice a document has a meaning, with a bracket missing it has none: what is a key there may be half a secret.
  const isSound = document.errors.every(({ code }) => code === 'DUPLICATE_KEY')
  const pathTo = (nodes: readonly unknown[]): PropertyKey[] => (isSound ? pathOf(nodes) : [])

  let aliases = true
  visit(document, {
    Pair(_key, pair, ancestors) {
      if (isScalar(pair.key)) return
      // Such a key would be written out as text, and with it what stands in it: often an unquoted template.
      const message = 'has a key that is no text; allowed: text (a value that begins with { or [ needs quotes)'
      faults.push({ ...positionOf((pair.key ?? pair.value) as Node), path: pathTo(ancestors), message })
      aliases = false
    },
    Alias(_key, node, ancestors) {
      const named = node.resolve(document)
      if (named && !ancestors.includes(named)) return
      const message = named
        ? 'names what it stands in itself; allowed: the name of something above that has ended'
        : 'names no anchor; allowed: the name of one above (a text that begins with * needs quotes)'
      faults.push({ ...positionOf(node), path: pathTo([...ancestors, node]), message })
      aliases = false
    },
    Scalar(role, node: Scalar, ancestors) {
      if (role === 'key') return
      const place = { ...positionOf(node), path: pathTo([...ancestors, node]) }
      if (typeof node.value === 'object' && node.value !== null) {
        // Bytes or a date: their members would be taken for settings.
        node.value = null
        return void faults.push({
          ...place,
          message: 'has a tag that makes no text of it; allowed: a value without a tag',
        })
      }
      if (typeof node.value !== 'string') return
      const expanded = expand(node.value, variables)
      if ('fault' in expanded) return void faults.push({ ...place, message: expanded.fault })
      node.value = expanded.value
    },
  })

  const locate = (path: readonly PropertyKey[]): Position => {
    let node: unknown = document.contents
    let position: Position = { line: 1, column: 1 }
    for (const part of path) {
      if (isAlias(node)) node = node.resolve(document)
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part)
        if (!pair) break
        if (isScalar(pair.key)) position = positionOf(pair.key)
        node = pair.value
      } else if (isSeq(node)) {
        const item = node.items[Number(part)] as Node | undefined
        if (!item) break
        position = positionOf(item)
        node = item
      } else break
    }
    return position
  }

  // Only what has a meaning is handed on.
  const readable = aliases && isSound
  return { value: readable ? toPlainData(document) : undefined, faults, locate }

  function toPlainData(parsed: typeof document): unknown {
    try {
      return parsed.toJS({ maxAliasCount: 100 })
    } catch (error) {
      // The library counts aliases by themselves; what else it may find is a merge key, which YAML 1.1 has.
      const isCounted = error instanceof ReferenceError
      const message = isCounted
        ? 'has too many aliases; allowed: 100'
        : 'merges what is no map; allowed: no merge keys (<<)'
      faults.push({ line: 1, column: 1, path: [], message })
      return undefined
    }
  }
}

/** The way from the root to the last of these nodes. */
function pathOf(nodes: readonly unknown[]): PropertyKey[] {
  return nodes.flatMap((node, depth): PropertyKey[] => {
    if (isPair(node)) return isScalar(node.key) ? [String(node.key.value)] : []
    return isSeq(node) ? [node.items.indexOf(nodes[depth + 1])] : []
  })
}

const YAML_FAULTS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands here twice; allowed: each key once',
  TAB_AS_INDENT: 'is indented with a tab; allowed: blanks',
  BAD_ALIAS: 'has an alias without a name; allowed: quotes around a text that begins with *',
  BAD_INDENT: 'is indented wrongly; allowed: the same indentation for all lines of a block',
  MULTIPLE_DOCS: 'holds several YAML documents; allowed: one',
}

type Expanded = { readonly value: string } | { readonly fault: string }

/** `file:/path` is that file's content; `${NAME}` is an environment variable; `$${` is a literal `${`. */
function expand(written: string, variables: Variables): Expanded {
  const missing: string[] = []
  const value = written.replace(/\$\$\{|\$\{([^}]*)\}/g, (whole, name?: string) => {
    if (name === undefined) return '${'
    const isName = /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
    const variable = isName ? variables[name] : undefined
    // What is no name may be part of a secret.
    if (variable === undefined) missing.push(isName ? whole : 'a name that is none')
    return variable ?? whole
  })
  if (missing.length > 0) {
    return { fault: `${missing.join(', ')} is not set; allowed: the name of an environment variable that is set` }
  }
  // Only what is written here names a file: a variable's content is never followed.
  return written.startsWith('file:') ? readFile(value.slice('file:'.length)) : { value }
}

function readFile(path: string): Expanded {
  if (!isAbsolute(path)) return { fault: 'names a relative file; allowed: file: and an absolute path' }
  try {
    return { value: readFileSync(path, 'utf8').replace(/\r?\n$/, '') }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return { fault: `names a file that cannot be read (${code}); allowed: a readable file` }
  }
}
